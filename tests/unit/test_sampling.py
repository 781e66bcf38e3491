"""Image k is the same whatever n is, and however the images are batched."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_networks import SIZES

from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.diffusion.samplers import SAMPLERS
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.provenance.digests import arrays_digest
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.seeds import PerImageNoise, derive_seed
from mnist_diffusion.runtime.threads import VARIABLE, single_threaded_kernels
from mnist_diffusion.sampling import draw as drawing
from mnist_diffusion.sampling.denoiser import TrainedDenoiser, load_denoiser
from mnist_diffusion.sampling.draw import draw, redraw, trajectory_steps
from mnist_diffusion.sampling.wishes import labels_for
from mnist_diffusion.settings import ResolvedCell, SharedChoices

CPU = torch.device("cpu")
CHOICES: dict[str, Any] = {
    "count": 12,
    "spacing": "trailing",
    "x0_bound": "clip",
    "dynamic_quantile": 0.995,
    "guide": "label",
    "guide_snapshot": 1,
    "guidance_interval": None,
    "guidance_rescale": 0.0,
    "prompts": "digits",
    "inpaint": "none",
}
SAMPLE = SharedChoices(micro_batch=4, latent_batch=6, trajectory_images=5, seed=0, **CHOICES)


def network(name: str, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    built = checkpoint.build(DENOISERS, name, SIZES if name == "unet" else {"embedding": 32})
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return built.eval()


def denoiser(name: str = "unet", device: torch.device = CPU) -> TrainedDenoiser:
    """With labels where the network takes them, and an earlier snapshot that is another one."""
    conditioning = "class" if name == "unet" else "uncond"
    own, early = (network(name, seed).to(device) for seed in (0, 1))
    return TrainedDenoiser(own, SCHEDULES["cosine"](1000), "v", device, conditioning, early)


def cell(
    sampler: str = "ddpm", guidance: float = 2.0, steps: int = 4, **choices: Any
) -> ResolvedCell:
    eta = 1.0 if sampler.startswith("ddpm") else 0.0
    chosen: dict[str, Any] = {"sampler": sampler, **CHOICES, **choices}
    return ResolvedCell(run="r", steps=steps, eta=eta, guidance=guidance, **chosen)


def images(sample: SharedChoices, of: ResolvedCell) -> torch.Tensor:
    return torch.cat([batch.images for batch in draw(denoiser(), of, sample)])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_images_do_not_depend_on_how_many_there_are(sampler: str) -> None:
    all_of_them = images(SAMPLE, cell(sampler))
    assert len(all_of_them) == 12
    for count in (1, 3, 4, 7):
        fewer = images(SAMPLE, cell(sampler).model_copy(update={"count": count}))
        assert torch.equal(fewer, all_of_them[:count])


@pytest.fixture
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv(VARIABLE, str(request.param))
    single_threaded_kernels()
    return request.param


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize("micro_batch", [4, 7])
@pytest.mark.parametrize(
    ("name", "guidance", "guide"),
    [
        ("unet", 2.0, "label"),
        ("unet", 2.0, "snapshot-unlabelled"),
        ("simple", 0.0, "label"),
        ("simple", 2.0, "snapshot"),
    ],
)
def test_images_drawn_again_are_bit_equal(
    name: str, guidance: float, guide: str, micro_batch: int, threads: int
) -> None:
    """Any images, in any order, also more than a micro-batch and several of one place in it."""
    sample = SAMPLE.model_copy(update={"micro_batch": micro_batch})
    of, trained = cell(guidance=guidance, guide=guide, count=17), denoiser(name)
    drawn = torch.cat([batch.images for batch in draw(trained, of, sample)])
    shuffled = torch.randperm(17, generator=torch.Generator().manual_seed(0)).tolist()
    for indices in ([16], [3, 10, 3], shuffled[:5], shuffled):
        assert torch.equal(redraw(trained, of, sample, indices), drawn[indices])


def test_images_are_drawn_again_at_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a batch of the full shape: bits depend on both, if not with every kernel."""
    batches: list[list[int]] = []
    walk = drawing._walk

    def seen(*given: Any) -> Any:
        batches.append(list(given[3]))
        return walk(*given)

    monkeypatch.setattr(drawing, "_walk", seen)
    redraw(denoiser(), cell(count=17), SAMPLE, [16, 3, 10, 7])
    assert {len(batch) for batch in batches} == {SAMPLE.micro_batch}
    for index in (16, 3, 10, 7):
        assert any(batch[index % SAMPLE.micro_batch] == index for batch in batches)


def test_batches_that_are_there_are_skipped_and_leave_the_others_as_they_are() -> None:
    whole = list(draw(denoiser(), cell(), SAMPLE))
    rest = list(draw(denoiser(), cell(), SAMPLE, skip={0, 8}))
    assert [batch.first for batch in rest] == [4]
    assert torch.equal(rest[0].images, whole[1].images)
    assert torch.equal(rest[0].trajectory, whole[1].trajectory)


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 12])
def test_images_hardly_depend_on_the_micro_batch(micro_batch: int) -> None:
    """Kernels round differently for other shapes: at most one grey level apart."""
    sample = SAMPLE.model_copy(update={"micro_batch": micro_batch})
    mine, other = to_uint8(images(SAMPLE, cell())), to_uint8(images(sample, cell()))
    assert int(np.abs(mine.astype(int) - other.astype(int)).max()) <= 1


@pytest.mark.parametrize(
    ("of", "evaluations"),
    [
        (cell("ddpm", guidance=1.0, steps=4), 4),
        (cell("ddim", guidance=0.0, steps=4), 4),
        (cell("dpm-solver-2", guidance=2.0, steps=4), 8),
        (cell("heun", guidance=1.0, steps=4), 7),
        (cell("heun", guidance=2.0, steps=4), 14),
        # trailing, 4 steps: sigma / alpha is 20,291, 2.5, 1.0 and 0.4
        (cell("ddim", guidance=2.0, steps=4, guidance_interval=[0.3, 2.0]), 6),
        (cell("ddim", guidance=2.0, steps=4, guide="snapshot"), 8),
        (cell("heun", guidance=0.5, steps=4, guide="snapshot-unlabelled"), 14),
    ],
)
def test_evaluations_are_what_was_called(of: ResolvedCell, evaluations: int) -> None:
    assert {batch.evaluations for batch in draw(denoiser(), of, SAMPLE)} == {evaluations}


@pytest.mark.parametrize(
    "choice",
    [
        {"spacing": "leading"},
        {"x0_bound": "none"},
        {"x0_bound": "dynamic", "dynamic_quantile": 1.0},
        {"guidance_interval": [0.3, 2.0]},
        {"guidance_rescale": 0.7},
        {"guide": "snapshot"},
        {"guide": "snapshot-unlabelled"},
    ],
)
def test_every_choice_reaches_the_images(choice: dict[str, Any]) -> None:
    plain = images(SAMPLE, cell("ddim", guidance=4.0))
    assert not torch.equal(images(SAMPLE, cell("ddim", guidance=4.0, **choice)), plain)


class Says(torch.nn.Module):
    """Believes in one grey, brighter by the digit that it is asked for; it remembers the labels."""

    def __init__(self, grey: float):
        super().__init__()
        self.grey = grey
        self.asked: set[int] = set()

    def forward(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.asked |= {*labels.tolist()}
        return (self.grey + 0.01 * labels.view(-1, 1, 1, 1)).expand_as(x)


@pytest.mark.parametrize("conditioning", ["class", "uncond"])
@pytest.mark.parametrize("scale", [0.5, 1.5, 3.0])
@pytest.mark.parametrize(
    ("guide", "grey", "labelled"),
    [("label", 0.3, False), ("snapshot", 0.1, True), ("snapshot-unlabelled", 0.1, False)],
)
def test_a_guide_is_what_its_name_says(
    guide: str, grey: float, labelled: bool, scale: float, conditioning: str
) -> None:
    """D = D0 + s·(D1 - D0) by hand (Karras et al. 2024): the guide's weights and labels."""
    own, early, cpu = Says(0.3), Says(0.1), torch.device("cpu")
    trained = TrainedDenoiser(own, SCHEDULES["cosine"](1000), "x0", cpu, conditioning, early)
    drawn = torch.cat(
        [batch.images for batch in draw(trained, cell("ddim", scale, 1, guide=guide), SAMPLE)]
    )
    labels = torch.arange(12) % 10 if conditioning == "class" else torch.full((12,), -1)
    one, other = 0.3 + 0.01 * labels, grey + 0.01 * (labels if labelled else -1)
    torch.testing.assert_close(drawn[:, 0, 14, 14], other + scale * (one - other))
    assert float(drawn.flatten(1).std(dim=1).max()) < 1e-6
    assert conditioning == "class" or own.asked | early.asked == {-1}


def published(folder: Path, conditioning: str) -> list[torch.nn.Module]:
    """A run's folder, as far as drawing needs it, with three snapshots; their networks in order."""
    networks = [network("unet", seed) for seed in range(3)]
    run = {"prediction": "v", "conditioning": conditioning, "space": "prepared"}
    checkpoint.save(folder, networks[-1], {"network": {"name": "unet", "sizes": SIZES}, "run": run})
    np.save(folder / paths.BETAS, SCHEDULES["linear"](1000).betas.numpy())
    (folder / checkpoint.SNAPSHOTS).mkdir()
    for step, one in zip((9, 80, 700), networks, strict=True):
        save_file(checkpoint.weights(one), folder / checkpoint.SNAPSHOTS / f"{step}.safetensors")
    return networks


def test_a_cells_guide_comes_from_disk(tmp_path: Path) -> None:
    """Snapshots count by their step, from 1; the network itself stays that of the end."""
    networks, cpu = published(tmp_path, "class"), torch.device("cpu")
    digests = [arrays_digest(checkpoint.weights(one)) for one in networks]
    for number in (1, 2):
        of = cell(guide="snapshot", guide_snapshot=number)
        loaded = load_denoiser(tmp_path, cpu, of)
        assert loaded.weights_digests() == {
            "weights_sha256": digests[-1],
            "guide_weights_sha256": digests[number - 1],
        }
        assert (loaded.prediction, loaded.conditioning) == ("v", "class")
        mine = replace(denoiser(), network=networks[-1], early=networks[number - 1])
        mine = replace(mine, schedule=loaded.schedule)
        drawn, expected = ([b.images for b in draw(one, of, SAMPLE)] for one in (loaded, mine))
        assert torch.equal(torch.cat(drawn), torch.cat(expected))
    for of in (None, cell()):
        assert load_denoiser(tmp_path, cpu, of).early is None


@pytest.mark.parametrize("number", [3, 4])
def test_a_guide_is_before_the_end(tmp_path: Path, number: int) -> None:
    published(tmp_path, "class")
    with pytest.raises(UserError, match=r"snapshots: the last of 3 is the run itself, and number"):
        load_denoiser(tmp_path, torch.device("cpu"), cell(guide="snapshot", guide_snapshot=number))


def test_cells_start_from_the_same_noise_and_differ_after() -> None:
    paths = [
        next(iter(draw(denoiser(), cell(guidance=s), SAMPLE))).trajectory for s in (0.0, 1.0, 2.0)
    ]
    for other in paths[1:]:
        assert torch.equal(paths[0][0], other[0])
        assert not torch.equal(paths[0][-1], other[-1])


def test_a_trajectory_ends_in_the_images() -> None:
    first, second, third = draw(denoiser(), cell(steps=4), SAMPLE)
    assert first.trajectory.shape == (5, 4, 28, 28)
    assert second.trajectory.shape == (5, 1, 28, 28)
    assert third.trajectory.shape == (5, 0, 28, 28)
    assert torch.equal(first.trajectory[-1], first.images[:, 0])


def test_long_trajectories_are_thinned_evenly() -> None:
    kept = trajectory_steps(250)
    assert (kept[0], kept[-1], len(kept)) == (0, 250, 21)
    assert set(np.diff(kept)) <= {12, 13}


def test_labels() -> None:
    assert labels_for(12, asked=True).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert labels_for(3, asked=False).tolist() == [-1, -1, -1]


def test_noise_belongs_to_its_image() -> None:
    together = PerImageNoise(0, "p", range(6), (2, 2))
    alone = PerImageNoise(0, "p", [4], (2, 2))
    for _ in range(3):
        assert torch.equal(together()[4], alone()[0])
    assert not torch.equal(
        PerImageNoise(0, "q", [4], (2, 2))(), PerImageNoise(0, "p", [4], (2, 2))()
    )

    noise = PerImageNoise(0, "p", range(6), (2, 2))
    drawn = torch.cat([noise() for _ in range(3)])
    assert len({tuple(image.flatten().tolist()) for image in drawn}) == 18


def test_seeds_are_what_they_were() -> None:
    """Every published number hangs on these; sha256("0/train/order/1")[:8] >> 1."""
    assert derive_seed(0, "train/order", 1) == GOLDEN_SEED


GOLDEN_SEED = 108016105331365396
