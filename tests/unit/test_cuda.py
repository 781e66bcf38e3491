"""What holds on a CPU holds on a GPU: the same bits again, after a stop, and in any company."""

import os
from pathlib import Path

import pytest
import torch
from test_sampling import SAMPLE, cell, denoiser
from test_training_state import ADAM, MUON, STEPS, STOP, Trainee

from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.sampling.draw import draw, redraw
from mnist_diffusion.settings import Compute

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as the command line does
CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_in_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert configure(Compute(device="cuda", instructions="avx2")) == CUDA


@pytest.mark.parametrize("recipe", [MUON, ADAM], ids=["muon", "adam"])
def test_training_repeats_and_goes_on_to_the_same_bits(recipe) -> None:
    whole, again, stopped, resumed = (Trainee.fresh(recipe, CUDA) for _ in range(4))
    kept = Resumption("train@test", "a" * 64)
    for trainee in (whole, again):
        trainee.train(kept)
    assert again.published() == whole.published()
    stopped.train(kept, stop=STOP)
    kept.save(*stopped.training.state(STOP))
    found = kept.load()
    assert found is not None
    resumed.train(kept, start=resumed.training.restore(*found))
    assert resumed.published() == whole.published()
    weights = next(resumed.training.network.parameters())
    assert weights.device.type == "cuda" and STOP < STEPS


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_does_not_depend_on_the_others(sampler: str) -> None:
    of, trained = cell(sampler), denoiser(device=CUDA)
    drawn = torch.cat([batch.images for batch in draw(trained, of, SAMPLE)])
    fewer = draw(trained, of.model_copy(update={"count": 7}), SAMPLE)
    assert torch.equal(torch.cat([batch.images for batch in fewer]), drawn[:7])
    assert torch.equal(redraw(trained, of, SAMPLE, [11, 3, 7]), drawn[[11, 3, 7]])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_gpu_draws_what_a_cpu_draws_but_for_rounding(sampler: str) -> None:
    of = cell(sampler)
    there, here = (
        torch.cat([batch.images for batch in draw(trained, of, SAMPLE)])
        for trained in (denoiser(device=CUDA), denoiser())
    )
    assert (there - here).abs().max() < 1e-3
