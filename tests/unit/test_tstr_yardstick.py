"""TSTR in number: on a small repository, against what its stages published."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tamperings import edit_array, flip_bit

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.provenance.schemas.artifact import load
from mnist_diffusion.provenance.schemas.yardsticks import TstrYardstick
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings
from mnist_diffusion.training.supervised import trained_classifier
from mnist_diffusion.yardsticks.tstr import summary, tstr

CELL, PUBLISHED = "cosine-class-g2", 20
"""The headline of the small repository; the micro-batch is 8, so that 200 are whole ones."""
COUNT = 200
DIGITS, TAUGHT = (Path(f".work/resume/yardstick{kind}@{CELL}") for kind in ("", "-drawn"))
REPORT = Path(f"reports/yardsticks/tstr-{CELL}.json")


def kept(folder: Path = DIGITS) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def one_pixel(images: np.ndarray) -> None:
    images[PUBLISHED - 1, 14, 14] ^= 1


@pytest.mark.usefixtures("published_copy")
class TestTstr:
    def test_it_goes_on_from_the_published_digits_and_from_what_is_drawn(self) -> None:
        first = tstr(CELL, 130, seeds=2)
        drawn, taught = kept(), kept(TAUGHT)
        again = tstr(None, COUNT, seeds=2)  # of the headline, where none is named
        assert len(drawn) == 17
        assert drawn.items() < kept().items()
        assert taught.keys().isdisjoint(kept(TAUGHT))  # those were by other digits
        assert first.published == again.published == PUBLISHED
        assert first.images_sha256 != again.images_sha256
        shutil.rmtree(".work")
        shutil.rmtree(f"data/samples/{CELL}")
        anew = tstr(CELL, COUNT, seeds=2)
        assert anew.published == 0
        assert (anew.images_sha256, anew.drawn) == (again.images_sha256, again.drawn)
        assert load(REPORT, TstrYardstick) == anew
        assert summary(anew).startswith(f"TSTR of {CELL}: 200 drawn digits teach ")

    def test_real_digits_teach_what_the_judges_recipe_makes_of_them(self) -> None:
        found, recipe = tstr(CELL, COUNT, seeds=2).real, load_settings().classifier
        train, test = load_split("train"), load_split("test")
        real = Path(f".work/resume/yardstick-real@{COUNT}")
        for seed, accuracy in enumerate(found.accuracies):
            network = trained_classifier(
                to_tensor(train.images[:COUNT]),
                torch.from_numpy(train.labels[:COUNT]),
                recipe.model_copy(update={"seed": seed}),
                torch.device("cpu"),
            )
            seen = classify(network, to_tensor(test.images), torch.device("cpu")).seen
            assert accuracy == np.mean(seen.numpy() == test.labels)
            [state] = real.glob(f"*-{seed:06d}.safetensors")
            assert torch.equal(load_file(state)["seen"], seen)
        networks = kept(real)
        assert tstr("cosine-class", COUNT, seeds=2).real == found
        assert kept(real) == networks  # none is taught twice

    def test_what_cannot_be_drawn_or_held_against_real_digits_is_refused(self) -> None:
        for cell, count, told in (
            ("cosine-clas", COUNT, "--cell: there is no 'cosine-clas'; did you mean "),
            ("linear-uncond", COUNT, "--cell: linear-uncond is not asked for whole digits; "),
            ("inpaint", COUNT, "--cell: inpaint is not asked for whole digits; "),
            (CELL, 401, "--count: 401 is not from 10 to 400 digits; "),
            (CELL, 9, "--count: 9 is not from 10 to 400 digits; "),
            ("few-2", 9, "--count: 9 is not from 10 to 400 digits; "),  # of a student
        ):
            with pytest.raises(UserError) as refusal:
                tstr(cell, count, seeds=2)
            assert str(refusal.value).startswith(told)
        assert not DIGITS.exists()

    def test_other_weights_than_were_published_are_refused(self) -> None:
        shutil.rmtree(f"data/samples/{CELL}")
        flip_bit(Path("models/cosine-class/weights.safetensors"))
        with pytest.raises(UserError, match=r"models/cosine-class/weights\.safetensors: not what "):
            tstr(CELL, 10, seeds=2)
        assert not REPORT.exists()

    def test_other_published_digits_are_refused(self) -> None:
        edit_array(Path(f"data/samples/{CELL}/images.npy"), one_pixel)
        with pytest.raises(UserError, match=f"{CELL}: not what its run draws"):
            tstr(CELL, COUNT, seeds=2)
        assert not REPORT.exists()
