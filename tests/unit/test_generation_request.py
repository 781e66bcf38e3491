"""What may be asked of a trained run, and which images of a sample set that is."""

import math
from pathlib import Path

import pytest

from mnist_diffusion.generation.drawing import MICRO_BATCH, parts, request
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings

SETTINGS = load_settings(Path(__file__).parents[2] / "params.yaml")
BASE = SETTINGS.cell(SETTINGS.report.headline).model_copy(
    update={"sampler": "ddpm", "eta": 1.0, "steps": 30, "guidance": 1.5}
)


def config(conditioning="class", timesteps=1000):
    return {
        "run": {"conditioning": conditioning, "space": "prepared"},
        "train": {"timesteps": timesteps},
    }


def ask(conditioning="class", **asked):
    return request(BASE, SETTINGS.sample, config(conditioning), run="some-run", **asked)


def test_what_is_not_said_is_as_in_the_cell():
    asked = ask(count=3)
    kept = {key: value for key, value in BASE.model_dump().items() if key != "run"}
    assert asked.cell.model_dump() == kept | {"run": "some-run"}
    assert asked.sample.seed == SETTINGS.sample.seed
    assert list(asked.indices) == [0, 1, 2]


def test_an_unconditional_run_is_not_guided():
    assert ask("uncond").cell.guidance == 0


@pytest.mark.parametrize(
    ("conditioning", "guidance", "guide"),
    [
        ("class", None, "snapshot"),
        ("class", 0.5, "snapshot"),
        ("class", 1.0, "label"),
        ("class", 0.0, "label"),
        ("uncond", None, "label"),
    ],
)
def test_a_snapshot_guides_as_in_the_cell_where_there_is_something_to_guide(
    conditioning, guidance, guide
):
    base = BASE.model_copy(update={"guide": "snapshot", "guide_snapshot": 1})
    asked = request(base, SETTINGS.sample, config(conditioning), run="r", guidance=guidance)
    assert (asked.cell.guide, asked.cell.guide_snapshot) == (guide, 1)


@pytest.mark.parametrize(("sampler", "eta"), [("ddpm", 1.0), ("ddpm-large", 1.0), ("ddim", 0.0)])
def test_a_sampler_brings_its_noise(sampler, eta):
    assert (ask(sampler=sampler).cell.sampler, ask(sampler=sampler).cell.eta) == (sampler, eta)


@pytest.mark.parametrize("digit", [None, *range(10)])
@pytest.mark.parametrize("count", [1, 21, 50])
def test_images_of_a_digit_are_those_of_a_sample_set_and_fill_the_batches(digit, count):
    asked = ask(digit=digit, count=count)
    assert len(asked.indices) == count
    assert digit is None or {index % 10 for index in asked.indices} == {digit}
    drawn = parts(asked)
    assert [index for part in drawn for index in part] == list(asked.indices)
    assert len(drawn) == math.ceil(count / MICRO_BATCH)
    for part in drawn:  # one call each: no two of them want the same place
        assert len({index % MICRO_BATCH for index in part}) == len(part)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"digit": 10}, "digit: got 10; give one from 0 to 9"),
        ({"digit": -1}, "digit: got -1"),
        ({"digit": 7, "guidance": 0.0}, "digit: nothing is asked for with guidance 0"),
        ({"guidance": -1.0}, "guidance: got -1.0"),
        ({"guidance": math.nan}, "guidance: got nan"),
        ({"guidance": math.inf}, "guidance: got inf"),
        ({"steps": 0}, "steps: got 0"),
        ({"steps": 1001}, "steps: 1001 exceeds the 1000 timesteps"),
        ({"count": 0}, "count: got 0"),
        ({"seed": -1}, "seed: got -1"),
        ({"sampler": "dpm-solver-4"}, "sampler: there is no 'dpm-solver-4'; did you mean"),
        ({"conditioning": "uncond", "digit": 7}, "digit: some-run is unconditional"),
        ({"conditioning": "uncond", "guidance": 2.0}, "guidance: some-run is unconditional"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(asked, words):
    with pytest.raises(UserError) as refused:
        ask(**asked)
    assert str(refused.value).startswith(words)
    assert "\n" not in str(refused.value)
