"""Settings: what stands in the repository is valid, and bad input is told in one line."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
import smoke_scale
from pydantic import BaseModel

from mnist_diffusion.diffusion.bounds import X0_BOUNDS
from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.spacings import SPACINGS
from mnist_diffusion.diffusion.timesteps import TIMESTEP_SAMPLERS
from mnist_diffusion.diffusion.weightings import WEIGHTINGS
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.sampling.denoiser import GUIDES
from mnist_diffusion.settings import (
    Cell,
    Choices,
    Run,
    Section,
    load_settings,
    parse_settings,
)

REPOSITORY = Path(__file__).parents[2]
PARAMS = REPOSITORY / "params.yaml"
RUN = {**smoke_scale.RUN, "recipe": "plain"}
ZERO_SNR_EPSILON = {**RUN, "zero_terminal_snr": True, "prediction": "epsilon"}
CELL = {"run": "cosine-class", "sampler": "ddim", "steps": 10, "eta": 0.0, "guidance": 2.0}
EFFECTS = {
    "cells": ["cosine-class-g2", "cosine-class-g4"],
    "factors": {"schedule": ["schedule"]},
    "contrasts": {"schedule": [["linear", "cosine"]]},
    "metric": "relative_fd",
    "margin": 1.15,
}
LOSS = {"kind": "loss", "run": "a", "third": 1, "expect": {"above": 0.3}}
CLAIM = {"family": "one", "tests": [LOSS]}
EARLY = {**CELL, "run": "linear-uncond", "guide": "snapshot", "guide_snapshot": 1}
NAN, INFINITY = float("nan"), float("inf")
BAD_NAMES = ["../x", "a;touch c", "-x", "x-", "a--b", "A", "é", "", "a b", "a\nb", "x" * 300]


@pytest.fixture
def content() -> dict[str, Any]:
    """The committed settings, with a run and cells whose names do not move with experiments."""
    content = read_yaml(PARAMS)
    adam = {**next(iter(content["train"]["recipes"].values())), "optimizer": "adam"}
    plain = {**adam, "muon_learning_rate": None}
    content["train"]["recipes"] = {"plain": plain, "short": {**plain, "steps": 10}}
    uncond = {**RUN, "conditioning": "uncond"}
    content["runs"] = {"cosine-class": dict(RUN), "linear-uncond": uncond}
    content["students"] = {}
    content["cells"] = {"cosine-class-g2": dict(CELL), "cosine-class-g4": {**CELL, "guidance": 4.0}}
    unguided = {**CELL, "run": "linear-uncond", "guidance": 0.0, "guide": "label"}
    content["cells"]["linear-uncond"] = unguided
    content["claims"]["one"] = deepcopy(CLAIM)
    content["report"] = {"headline": "cosine-class-g2"}
    one = {"cells": ["cosine-class-g2"], "baselines": ["cosine-class-g2"]}
    content["tables"] = {name: dict(one) for name in content["tables"]}
    content["tables"]["guidance"]["cells"] = ["cosine-class-g2", "cosine-class-g4"]
    content["defaults"]["run"] = dict(RUN)
    content["tstr"]["cells"] = ["cosine-class-g2"]
    content["trajectories"]["run"] = "cosine-class"
    content["fd_curve"]["runs"] = ["cosine-class"]
    content["effects"] = {}
    content["adherence"]["cells"] = []
    content["seams"]["cells"] = []
    return content


def _put(content: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split("/")
    for parent in parents:
        content = content[parent]
    content[last] = value


def _rename(content: dict[str, Any], key: str, name: object) -> None:
    *parents, last = key.split("/")
    for parent in parents:
        content = content[parent]
    content[name] = content.pop(last)  # type: ignore[index]


def _refusal(content: dict[str, Any]) -> str:
    """The one line of a refusal: printable, and short enough to read."""
    with pytest.raises(UserError) as refusal:
        parse_settings(content, "params.yaml")
    line = str(refusal.value)
    assert line.isprintable()
    assert len(line) < 350
    return line


def _sections(section: type[Section] = Section) -> Iterator[type[Section]]:
    for below in section.__subclasses__():
        yield below
        yield from _sections(below)


def test_committed_settings_are_valid() -> None:
    assert load_settings(PARAMS).scale == "laptop"


def test_the_content_of_these_tests_is_valid(content: dict[str, Any]) -> None:
    parse_settings(content, "params.yaml")


@pytest.mark.parametrize("section", list(_sections()), ids=lambda section: section.__name__)
def test_no_number_hides_in_the_code(section: type[BaseModel]) -> None:
    """A cell may leave unsaid what `sample` says for all."""
    silent = {name for name, field in section.model_fields.items() if not field.is_required()}
    assert silent == ({*Choices.model_fields, "seed"} if section is Cell else set())
    assert all(section.model_fields[name].default is None for name in silent)


@pytest.mark.parametrize(
    ("section", "key", "registry"),
    [
        (Run, "schedule", SCHEDULES),
        (Run, "prediction", PREDICTIONS),
        (Run, "weighting", WEIGHTINGS),
        (Run, "timestep_sampling", TIMESTEP_SAMPLERS),
        (Choices, "spacing", SPACINGS),
        (Choices, "x0_bound", X0_BOUNDS),
        (Choices, "guide", GUIDES),
        (Run, "network", DENOISERS),
        (Cell, "sampler", SAMPLERS),
    ],
)
def test_words_are_those_of_the_registries(
    section: type[BaseModel], key: str, registry: dict[str, object]
) -> None:
    assert set(get_args(section.model_fields[key].annotation)) == set(registry)


@pytest.mark.parametrize(
    ("key", "typo", "meant"),
    [
        ("cells", "cell", "cells"),
        ("train/log_every", "log_evry", "log_every"),
        ("train/recipes/plain/optimizer", "optimiser", "optimizer"),
        ("networks/unet/channels", "chanels", "channels"),
        ("runs/cosine-class/schedule", "shedule", "schedule"),
        ("train/weightings/min-snr", "min_snr", "min-snr"),
        ("train/weightings/min-snr/gamma", "gama", "gamma"),
        ("train/timestep_samplings/logit-normal", "logit_normal", "logit-normal"),
        ("cells/cosine-class-g2/guidance", "guidence", "guidance"),
        ("report/headline", "head-line", "headline"),
    ],
)
def test_a_mistyped_key_is_named_with_what_was_meant(
    content: dict[str, Any], key: str, typo: str, meant: str
) -> None:
    _rename(content, key, typo)
    wrong = ".".join([*key.split("/")[:-1], typo])
    line = _refusal(content)
    assert line == f"params.yaml: {wrong}: unknown key; did you mean {meant!r}?"


@pytest.mark.parametrize("key", [5, True, 1.5, (1, 2), "tra\nin", "\x1b[31m", "y" * 300])
def test_a_strange_key_is_refused(content: dict[str, Any], key: object) -> None:
    _rename(content, "prepare/train", key)
    assert "unknown key; " in _refusal(content)


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("classifier/epochs", True, "valid integer"),
        ("classifier/learning_rate", "3e-4", "valid number"),
        ("classifier/learning_rate", True, "valid number"),
        ("train/recipes/plain/steps", 2800.0, "valid integer"),
        ("train/recipes/plain/steps", "2800", "valid integer"),
        ("runs/cosine-class/zero_terminal_snr", 1, "valid boolean"),
        ("runs/cosine-class/zero_terminal_snr", "yes", "valid boolean"),
        ("sample/guidance_rescale", 1.5, "less than or equal to 1"),
        ("sample/dynamic_quantile", 0.0, "greater than 0"),
        ("sample/guidance_interval", [0.2], "at least 2 items"),
        ("sample/guidance_rescale", INFINITY, "less than or equal to 1"),
        ("train/weightings/min-snr/gamma", 0.0, "greater than 0"),
        ("train/timestep_samplings/laplace/location", INFINITY, "finite number"),
        ("train/timestep_samplings/laplace/scale", 0.0, "greater than 0"),
        ("train/timestep_samplings/logit-normal/mean", NAN, "finite number"),
        ("train/timestep_samplings/logit-normal/deviation", -1.0, "greater than 0"),
        ("sample/guide_snapshot", 0, "greater than 0"),
        ("train/timestep_samplings/importance/history", 0, "greater than 0"),
        ("cells/cosine-class-g2/run", 5, "valid string"),
        ("networks/unet/channels", 24, "valid list"),
        ("networks/unet/channels", [], "at least 1 item"),
        ("train", None, "write a section"),
        ("runs", ["a"], "write a section"),
        ("prepare/train", 0, "greater than 0"),
        ("prepare/seed", -1, "greater than or equal to 0"),
        ("train/timesteps", 20, "greater than 20"),
        ("train/label_dropout", 1.0, "less than 1"),
        ("train/label_dropout", NAN, "less than 1"),
        ("train/recipes/plain/ema", -0.1, "greater than or equal to 0"),
        ("classifier/learning_rate", 0.0, "greater than 0"),
        ("classifier/learning_rate", INFINITY, "finite number"),
        ("classifier/weight_decay", INFINITY, "finite number"),
        ("cells/cosine-class-g2/eta", 1.1, "less than or equal to 1"),
        ("cells/cosine-class-g2/eta", NAN, "less than or equal to 1"),
        ("cells/cosine-class-g2/guidance", -1.0, "greater than or equal to 0"),
        ("cells/cosine-class-g2/guidance", NAN, "finite number"),
        ("cells/cosine-class-g2/guidance", INFINITY, "finite number"),
    ],
)
def test_a_bad_value_is_told_with_its_key_and_the_fix(
    content: dict[str, Any], key: str, value: object, fix: str
) -> None:
    _put(content, key, value)
    line = _refusal(content)
    assert line.startswith(f"params.yaml: {key.replace('/', '.')}: got {value!r}; ")
    assert fix in line


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("compute/device", "cud", "compute.device: there is no 'cud'; did you mean 'cuda'?"),
        (
            "runs/cosine-class/schedule",
            "cosin",
            "runs.cosine-class.schedule: there is no 'cosin'; did you mean 'cosine'?",
        ),
        (
            "cells/cosine-class-g2/sampler",
            "euler",
            "cells.cosine-class-g2.sampler: there is no 'euler'; known: consistency, ddim, "
            "ddpm, ddpm-large, dpm-solver-1, dpm-solver-2, dpm-solver-3, heun",
        ),
        (
            "cells/cosine-class-g2/run",
            "cosin-class",
            "cells.cosine-class-g2.run: there is no run 'cosin-class'; "
            "did you mean 'cosine-class'?",
        ),
        (
            "runs/cosine-class/recipe",
            "fancy",
            "runs.cosine-class.recipe: there is no recipe 'fancy'; known: plain, short",
        ),
        (
            "report/headline",
            "cosine-class-g3",
            "report.headline: there is no cell 'cosine-class-g3'; did you mean 'cosine-class-g4'?",
        ),
        (
            "tables/guidance/cells",
            ["cosine-class-2"],
            "tables.guidance.cells: there is no cell 'cosine-class-2'; did you mean "
            "'cosine-class-g2'?",
        ),
    ],
)
def test_an_unknown_word_is_told_with_what_was_meant(
    content: dict[str, Any], key: str, value: object, line: str
) -> None:
    _put(content, key, value)
    assert _refusal(content) == f"params.yaml: {line}"


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    ("change", "key", "start"),
    [
        (_rename, "runs/cosine-class", "runs."),
        (_rename, "cells/cosine-class-g2", "cells."),
        (_put, "cells/cosine-class-g2/run", "cells.cosine-class-g2.run: "),
    ],
)
def test_a_bad_name_is_refused_as_a_key_and_as_a_value(
    content: dict[str, Any], change: Any, key: str, start: str, name: str
) -> None:
    change(content, key, name)
    line = _refusal(content)
    assert line.startswith(f"params.yaml: {start}")
    assert "is not a name; use lower-case letters, digits and single hyphens, 60 at most" in line


def test_a_missing_key_is_named(content: dict[str, Any]) -> None:
    del content["sample"]["count"]
    assert _refusal(content) == "params.yaml: sample.count: missing; add it"


@pytest.mark.parametrize(
    ("key", "value", "start"),
    [
        ("cells/cosine-class-g2/eta", 0.5, None),
        ("cells/cosine-class-g2/sampler", "ddpm", "cells.cosine-class-g2.eta: ddpm has eta 1.0;"),
        ("cells/cosine-class-g2/steps", 1001, "cells.cosine-class-g2.steps: 1001 exceeds"),
        ("cells/cosine-class-g2/run", "linear-uncond", "cells.cosine-class-g2.guidance: "),
        ("cells/cosine-class-g2/guidance_interval", [0.2, 2.0], None),
        ("cells/cosine-class-g2/guidance_interval", [2.0, 0.2], "cells.cosine-class-g2.guidance_"),
        ("sample/guidance_interval", [2.0, 0.2], "sample.guidance_interval: [2.0, 0.2] is empty;"),
        ("runs/cosine-class/prediction", "epsilon", None),
        ("runs/cosine-class", {**RUN, "zero_terminal_snr": True, "weighting": "v"}, None),
        ("runs/cosine-class", {**RUN, "zero_terminal_snr": True, "weighting": "x0"}, None),
        ("runs/cosine-class/zero_terminal_snr", True, "runs.cosine-class.weighting: epsilon gives"),
        (
            "runs/cosine-class",
            {**RUN, "zero_terminal_snr": True, "weighting": "v", "timestep_sampling": "laplace"},
            "runs.cosine-class.timestep_sampling: laplace never draws zero SNR,",
        ),
        (
            "runs/cosine-class",
            {**RUN, "prediction": "epsilon", "weighting": "v"},
            "runs.cosine-class.weighting: v on an output read as epsilon is all the noisiest "
            "timestep's under cosine;",
        ),
        (
            "runs/cosine-class",
            {**RUN, "schedule": "rectified-flow", "prediction": "epsilon", "weighting": "x0"},
            "runs.cosine-class.weighting: x0 on an output read as epsilon is all the noisiest "
            "timestep's under rectified-flow;",
        ),
        (
            "runs/cosine-class",
            {**RUN, "schedule": "linear", "prediction": "epsilon", "weighting": "x0"},
            None,
        ),
        ("cells/cosine-class-g2/guide", "snapshot", None),
        ("cells/cosine-class-g2/guide", "snapshot-unlabelled", None),
        ("cells/cosine-class-g2/guide", None, "cells.cosine-class-g2.guide: null says nothing;"),
        ("cells/guided", {**EARLY, "guidance": 0.5}, None),
        ("cells/guided", EARLY, None),
        ("cells/guided", {**EARLY, "guide_snapshot": 5}, None),
        (
            "cells/guided",
            {**EARLY, "guide_snapshot": 6},
            "cells.guided.guide_snapshot: 6 is not before the end of training, 5 are;",
        ),
        (
            "cells/guided",
            {**EARLY, "guidance": 1.0},
            "cells.guided.guidance: 1 leaves the snapshot",
        ),
        (
            "cells/guided",
            {**EARLY, "guidance": 0.0},
            "cells.guided.guidance: 0 leaves the snapshot",
        ),
        (
            "cells/guided",
            {**EARLY, "guide": "snapshot-unlabelled"},
            "cells.guided.guide: linear-uncond knows no labels to leave out; set snapshot",
        ),
        (
            "cells/guided",
            {**EARLY, "guide": "label"},
            "cells.guided.guidance: linear-uncond is unconditional; set 0, choose a class or text",
        ),
        ("train/snapshots", 1, None),
        ("sample/guide", "snapshot", None),
        ("runs/cosine-class/timestep_sampling", "importance", None),
        (
            "runs/cosine-class",
            {**RUN, "timestep_sampling": "importance", "recipe": "short"},
            "runs.cosine-class.timestep_sampling: importance waits until",
        ),
        ("cells/cosine-class-g2/spacing", None, "cells.cosine-class-g2.spacing: null says"),
        ("cells/cosine-class-g2/x0_bound", None, "cells.cosine-class-g2.x0_bound: null says"),
        ("runs/cosine-class", ZERO_SNR_EPSILON, "runs.cosine-class.prediction: epsilon tells"),
        ("runs/cosine-class/network", "simple", "runs.cosine-class.conditioning: "),
        ("runs/classifier", RUN, "runs.classifier: this name is taken;"),
        ("runs/codecs", RUN, "runs.codecs: this name is taken;"),
        ("runs/cosine-class/space", "pixels", "runs.cosine-class.space: there is no 'pixels'; set"),
        ("runs/cosine-class/space", "latents/", "runs.cosine-class.space: there is no 'latents/'"),
        (
            "runs/cosine-class/space",
            "latents/4x7x8",
            "runs.cosine-class.space: there is no codec '4x7x8'; did you mean '4x7x7'?",
        ),
        (
            "runs/cosine-class/space",
            "latents/4x7x7",
            "cells.cosine-class-g2.x0_bound: clip holds x0 within the range of pixels",
        ),
        ("runs/cosine-class/conditioning", "text", "runs.cosine-class.asked: data/prepared is not"),
        ("runs/cosine-class/asked", "models/clip", "runs.cosine-class.asked: models/clip is not"),
        (
            "cells/cosine-class-g2/prompts",
            "grid",
            "cells.cosine-class-g2.prompts: cosine-class reads no text; set digits",
        ),
        ("seams/cells", ["cosine-class-g2"], "seams.cells: cosine-class-g2 draws no halves; leave"),
        (
            "cells/cosine-class-g2/inpaint",
            "middle",
            "cells.cosine-class-g2.inpaint: there is no 'middle'",
        ),
        ("adherence/cells", ["cosine-class-g2"], "adherence.cells: cosine-class-g2 was asked for"),
        ("codecs/4x7x7/side", 5, "codecs.4x7x7.side: 5 is none that a codec has; set 4 or 7"),
        (
            "codecs/8x4x4/shrunk",
            0.5,
            "codecs.8x4x4.shrunk: latents of side 4 cannot be smaller; set 0.0",
        ),
        ("codec/channels", [24, 47], "codec.channels: not all of [24, 47] are multiples of 8"),
        ("codec/recipe/parts", 2, "codec.recipe.parts: 2 parts are for denoisers; set 1"),
        ("captions/slant", [-18.0, -5.0, -5.0, 29.0], "captions.slant: [-18.0, -5.0, -5.0, 29.0"),
        ("captions/held_out", ["thin left"], "captions.held_out: "),
        ("clip/text/heads", 3, "clip.text.heads: 3 does not divide 64; use one"),
        ("train/recipes/plain/optimizer", "muon", "train.recipes.plain.muon_learning_rate: "),
        ("prepare/validation", 60_000, "prepare.train: train + validation exceed"),
        ("prepare/test", 10_001, "prepare.test: got 10001; it should be less than or equal to"),
        ("networks/unet/channels", [20, 40], "networks.unet.channels: not all of [20, 40] are"),
        ("networks/unet/channels", [16, 32, 32, 32], "networks.unet.patch: 28 pixels do not fold"),
        ("networks/unet/patch", 3, "networks.unet.patch: 28 pixels do not fold by 3"),
        ("networks/unet/heads", 5, "networks.unet.heads: 5 does not divide"),
        ("networks/unet/embedding", 31, "networks.unet.embedding: 31 is odd;"),
        (
            "tables/guidance/baselines",
            ["cosine-class-g3"],
            "tables.guidance.baselines: there is no cell 'cosine-class-g3'; did you mean",
        ),
        (
            "tables/samplers/baselines",
            ["cosine-class-g4"],
            "tables.samplers.baselines: there is no cell 'cosine-class-g4'; did you mean",
        ),
        ("tstr/cells", ["cosine-class"], "tstr.cells: there is no cell 'cosine-class'; did you"),
        ("cells/cosine-class-g2/guidance", 0.0, "tstr.cells: cosine-class-g2 was asked for no"),
        ("fd_curve/count", 301, "fd_curve.count: there is no baseline for 301 images; add 301"),
        ("cells/cosine-class-g2/count", 499, "cells.cosine-class-g2.count: there is no baseline"),
        ("cells/cosine-class-g2/count", 2000, "tstr.cells: cosine-class-g2 has a count of its own"),
        ("fd_curve/runs", ["cosin-class"], "fd_curve.runs: there is no run 'cosin-class'; did you"),
        ("trajectories/run", "x", "trajectories.run: there is no run 'x'; known: "),
        ("effects/one", EFFECTS, "effects.one.cells: cosine-class-g4 is not drawn as cosine-class"),
        ("effects/one", EFFECTS | {"cells": ["cosine-class-g2"]}, None),
        ("effects/one", EFFECTS | {"cells": ["x"]}, "effects.one.cells: there is no cell 'x'; "),
        (
            "effects/one",
            EFFECTS | {"contrasts": {"schedul": [["linear", "cosine"]]}},
            "effects.one.contrasts: there is no factor 'schedul'; did you mean 'schedule'?",
        ),
        (
            "effects/one",
            EFFECTS | {"cells": ["cosine-class-g2", "linear-uncond"]},
            "effects.one.cells: linear-uncond differs from cosine-class-g2 in conditioning, which",
        ),
        (
            "effects/one",
            EFFECTS | {"factors": {"schedule": ["shedule"]}},
            "effects.one.factors.schedule.0: 'shedule' is not a name; ",
        ),
        ("claims/one", CLAIM, None),
        ("calibration/count", 777, "calibration.count: 777 is none of counts"),
        ("calibration/counts", [2000, 5000], "calibration.counts: 5000 leaves no choice of sets"),
        (
            "calibration/corruptions/blur",
            [2.0, 1.0],
            "calibration.corruptions.blur: [2.0, 1.0] does not rise",
        ),
        (
            "calibration/corruptions/wrong-labels",
            [0.1, 1.1],
            "calibration.corruptions.wrong-labels",
        ),
    ],
)
def test_values_that_contradict_each_other(
    content: dict[str, Any], key: str, value: object, start: str | None
) -> None:
    _put(content, key, value)
    if start is None:
        parse_settings(content, "params.yaml")
    else:
        assert _refusal(content).startswith(f"params.yaml: {start}")


def test_no_snapshot_guides_where_training_is_too_short_to_have_any(
    content: dict[str, Any],
) -> None:
    """As many snapshots as steps at the most, the last of them the end."""
    content["train"]["recipes"]["plain"]["steps"] = 2
    content["cells"]["guided"] = {**EARLY, "guide_snapshot": 1}
    parse_settings(content, "params.yaml")
    content["cells"]["guided"] = {**EARLY, "guide_snapshot": 2}
    assert "2 is not before the end of training, 1 are; lower it" in _refusal(content)


def test_digits_are_asked_for_of_class_runs_alone(content: dict[str, Any]) -> None:
    """A cell that a snapshot guides is not thereby one of digits."""
    content["cells"]["guided"] = dict(EARLY)
    content["tstr"]["cells"] = ["guided"]
    assert _refusal(content).startswith("params.yaml: tstr.cells: guided was asked for no digits")


def test_a_cell_is_completed_by_what_all_share(content: dict[str, Any]) -> None:
    _put(content, "sample/guidance_interval", [0.1, 1.0])
    _put(content, "cells/cosine-class-g4/guidance_interval", None)
    _put(content, "cells/cosine-class-g4/spacing", "leading")
    settings = parse_settings(content, "params.yaml")
    shared, own = (settings.cell(name) for name in ("cosine-class-g2", "cosine-class-g4"))
    assert (shared.spacing, shared.guidance_interval) == ("trailing", [0.1, 1.0])
    assert (own.spacing, own.guidance_interval, own.guidance) == ("leading", None, 4.0)


def test_the_noise_is_of_the_training_beside_the_sampling(content: dict[str, Any]) -> None:
    """So that the luck of drawing is part of the luck from training to training."""
    _put(content, "runs/linear-uncond/seed", 3)
    _put(content, "sample/seed", 10)
    _put(content, "cells/cosine-class-g4/seed", 2)
    settings = parse_settings(content, "params.yaml")
    seeds = {name: settings.shared(name).seed for name in settings.cells}
    assert seeds == {"cosine-class-g2": 10, "cosine-class-g4": 2, "linear-uncond": 13}
    assert settings.shared("linear-uncond").micro_batch == settings.sample.micro_batch


def test_latents_are_drawn_more_at_a_time(content: dict[str, Any]) -> None:
    _put(content, "runs/linear-uncond/space", "latents/4x7x7")
    _put(content, "cells/linear-uncond/x0_bound", "none")
    settings = parse_settings(content, "params.yaml")
    assert settings.shared("linear-uncond").micro_batch == settings.sample.latent_batch
    assert settings.shared("cosine-class-g2").micro_batch == settings.sample.micro_batch


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"kind": "los"}, "claims.one.tests.0: "),
        ({"expect": {}}, "claims.one.tests.0.loss.expect: got {}; it should have at least 1 item"),
        ({"expect": {"under": 1.0}}, "claims.one.tests.0.loss.expect.under: "),
        ({"third": 3}, "claims.one.tests.0.loss.third: "),
        ({"thrid": 1}, "claims.one.tests.0.loss.thrid: unknown key; "),
    ],
)
def test_a_bad_test_of_a_claim_is_told_with_its_place(
    content: dict[str, Any], change: dict[str, Any], line: str
) -> None:
    content["claims"]["one"]["tests"][0] |= change
    assert _refusal(content).startswith(f"params.yaml: {line}")


def test_claims_name_the_pairs_that_are_compared(content: dict[str, Any]) -> None:
    pair = ["cosine-class-g2", "cosine-class-g4"]
    test = {"kind": "difference", "metric": "recall", "pairs": [pair, pair], "unit": "one"}
    content["claims"] = {"one": {"family": "f", "tests": [test | {"expect": {"below": 0.0}}]}}
    assert parse_settings(content, "params.yaml").claimed_pairs() == [tuple(pair)]


def test_settings_cannot_be_changed() -> None:
    settings = load_settings(PARAMS)
    with pytest.raises(ValueError, match="frozen"):
        settings.sample.count = 1  # type: ignore[misc]


STUDENT = {
    "teacher": "cosine-class",
    "recipe": "plain",
    "trajectories": 100,
    "sampler": "dpm-solver-2",
    "steps": 8,
    "guidance": [1.0, 2.0],
    "guidance_interval": None,
    "points": 4,
    "from_noise": 0.5,
    "seed": 0,
}
FEW = {**CELL, "run": "few", "sampler": "consistency", "steps": 2, "eta": 1.0, "guidance": 1.5}
"""A cell that a student of the first run can draw."""


def _taught(content: dict[str, Any]) -> dict[str, Any]:
    content["students"] = {"few": dict(STUDENT)}
    content["cells"]["few"] = dict(FEW)
    return content


def test_a_student_is_its_teacher_by_another_recipe(content: dict[str, Any]) -> None:
    content["students"] = {"few": {**STUDENT, "recipe": "short"}}
    settings = parse_settings(content, "params.yaml")
    teacher, student = settings.run("cosine-class"), settings.student("few")
    assert student.run == teacher.run and student.train == teacher.train
    assert student.network.sizes == teacher.network.sizes
    assert student.network.name == "guided-unet"
    assert student.recipe == settings.train.recipes["short"] != teacher.recipe
    assert list(settings.denoisers) == [*settings.runs, "few"]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (
            "students/few/teacher",
            "linear-uncond",
            "students.few.teacher: linear-uncond is no U-Net",
        ),
        ("students/few/teacher", "few", "students.few.teacher: there is no run 'few'"),
        ("students/few/recipe", "long", "students.few.recipe: there is no recipe 'long'"),
        ("students/few/points", 3, "points: 8 steps do not part in 3"),
        ("students/few/guidance", [2.0, 1.0], "is no range; put the lower end first"),
        ("students/few/steps", 4000, "students.few.steps: 4000 exceeds train.timesteps"),
        ("students/few/trajectories", 63, "students.few.trajectories: 63 are fewer than a batch"),
        ("sample/micro_batch", 100, "or all of one scale; draw 101 or more"),
        ("students/few/guidance", [0.0, 1.0], "at 0 its teacher is asked nothing"),
        ("students/few/from_noise", 1.5, "students.few.from_noise: "),
        ("cells/few/guidance", 2.5, "cells.few.guidance: few knows 1 to 2; set one of them"),
        ("cells/few/steps", 3, "cells.few.steps: few knows 4 points, spaced trailing"),
        ("cells/few/spacing", "leading", "cells.few.steps: few knows 4 points, spaced trailing"),
        ("cells/few/guide", "snapshot", "cells.few.guide: few has its guidance from its teacher"),
        ("cells/few/guidance_interval", [0.1, 1.0], "cells.few.guide: few has its guidance"),
        ("cells/few/guidance_rescale", 0.5, "cells.few.guide: few has its guidance"),
        ("cells/few/eta", 0.0, "cells.few.eta: consistency has eta 1.0; set it so"),
        ("trajectories/run", "few", "trajectories.run: there is no run 'few'"),
    ],
)
def test_what_a_student_cannot_be_is_told(
    content: dict[str, Any], key: str, value: object, line: str
) -> None:
    parse_settings(_taught(content), "params.yaml")
    _put(content, key, value)
    assert line in _refusal(content)


def test_a_student_has_a_name_of_its_own(content: dict[str, Any]) -> None:
    for name in ("cosine-class", "classifier"):
        content["students"] = {name: dict(STUDENT)}
        assert f"students.{name}: this name is taken" in _refusal(content)
