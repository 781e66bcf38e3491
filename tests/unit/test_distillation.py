"""Students: what they are told, what they learn from, and that they come to see where paths end."""

from collections import deque
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mnist_diffusion.diffusion.predictions import PREDICTIONS
from mnist_diffusion.diffusion.schedules import SCHEDULES
from mnist_diffusion.diffusion.spacings import levels, trailing
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.networks.students import STUDENTS, told
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.runtime.seeds import derive_seed, seeded
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.sampling.draw import draw, start, walk
from mnist_diffusion.sampling.lessons import lesson
from mnist_diffusion.settings import ResolvedCell, SharedSampling, load_settings
from mnist_diffusion.stages import distill
from mnist_diffusion.training.distillation import Distillation, Lessons
from mnist_diffusion.training.loop import fit
from mnist_diffusion.training.optim import ExponentialAverage

REPOSITORY = Path(__file__).parents[2]
SIZES = {"channels": [8, 16], "blocks": 1, "patch": 2, "embedding": 16, "heads": 2}
SCHEDULE = SCHEDULES["cosine"](40)
CPU = torch.device("cpu")
SETTINGS = load_settings(REPOSITORY / "params.yaml")
CELL = SETTINGS.cell("headline").model_copy(update={"steps": 8, "count": 8})
RECIPE = SETTINGS.train.recipes["student"].model_copy(update={"steps": 80, "batch_size": 4})


def network(name: str) -> nn.Module:
    registry = {**DENOISERS, **STUDENTS}
    built = seeded(lambda: checkpoint.build(registry, name, SIZES), 3)
    for parameter in built.parameters():  # zeroed layers would hide what they are told
        nn.init.normal_(parameter, std=0.2) if parameter.ndim == 1 else None
    return built.eval()


def denoiser(own: nn.Module, student: bool = False) -> TrainedDenoiser:
    return TrainedDenoiser(own, SCHEDULE, "v", CPU, "class", student=student)


@pytest.fixture(scope="module")
def teacher() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        own = network("unet")
        for parameter in own.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.02)
    return own


def taught_nothing(teacher: nn.Module) -> nn.Module:
    own = checkpoint.build(STUDENTS, "guided-unet", SIZES)
    own.load_state_dict({**own.state_dict(), **teacher.state_dict()})
    return own.eval()


@torch.no_grad()
def test_a_student_begins_as_its_teacher_whatever_the_scale(teacher: nn.Module) -> None:
    x, t, labels = torch.randn(6, 1, 28, 28), torch.arange(6), torch.tensor([0, 3, 9, 1, -1, 5])
    student = taught_nothing(teacher)
    for scales in (1.0, 2.5, torch.linspace(0, 9, 6)):
        assert torch.equal(student(x, t, told(labels, scales)), teacher(x, t, labels))


@torch.no_grad()
def test_a_student_hears_its_scale_and_its_label(teacher: nn.Module) -> None:
    student = taught_nothing(teacher)
    nn.init.normal_(student.get_submodule("scale").weight)  # type: ignore[arg-type]
    x, t, labels = torch.randn(4, 1, 28, 28), torch.full((4,), 20), torch.arange(4)
    first = student(x, t, told(labels, 1.5))
    assert not torch.allclose(first, student(x, t, told(labels, 1.51)))
    assert not torch.allclose(first, student(x, t, told(labels + 1, 1.5)))
    other = student(x, t, told(labels, torch.tensor([1.5, 1.5, 2.0, 1.5])))
    same = torch.tensor([True, True, False, True])
    assert torch.allclose(other[same], first[same], atol=1e-6)
    assert not torch.allclose(other[~same], first[~same])


def test_a_student_s_step_is_one_call_at_any_scale(teacher: nn.Module) -> None:
    shared = SharedSampling(micro_batch=4, trajectory_images=1, seed=0)
    cell = CELL.model_copy(update={"guidance_interval": None})
    for steps in (4, 1):
        few = cell.model_copy(update={"sampler": "consistency", "eta": 1.0, "steps": steps})
        batches = [*draw(denoiser(taught_nothing(teacher), student=True), few, shared)]
        assert {batch.evaluations for batch in batches} == {steps}
    [guided, _] = [*draw(denoiser(teacher), cell, shared)]
    assert guided.evaluations == 16


def test_lessons_are_states_of_the_teacher_s_walk(teacher: nn.Module) -> None:
    """The noise and every second state, at the timesteps that a student of four points visits."""
    indices = [5, 2, 7]
    found = lesson(denoiser(teacher), CELL, 11, indices, points=4)
    noise = start(denoiser(teacher), 11, indices)
    states = [x for x, _ in walk(denoiser(teacher), CELL, 11, indices, noise)]
    assert found.shape == (3, 5, 1, 28, 28) and not found.requires_grad
    assert torch.equal(found[:, 0], noise)
    for point, state in enumerate(states[1::2], start=1):
        assert torch.equal(found[:, point], state)
    visited = [int(at.t) for at in levels(SCHEDULE, 8, "trailing")]
    assert trailing(SCHEDULE, 4) == visited[:-1:2]


def test_paths_are_learned_at_the_scales_that_they_were_drawn_at(
    teacher: nn.Module, in_tmp_path: None
) -> None:
    """From the lowest to the highest, and digits in turn: each is drawn again by what is told."""
    student = SETTINGS.students["few-steps"].model_copy(
        update={"trajectories": 22, "steps": 8, "guidance": [1.5, 3.0], "guidance_interval": None}
    )
    sample = SETTINGS.sample.model_copy(update={"micro_batch": 8})
    settings = SETTINGS.model_copy(update={"students": {"few": student}, "sample": sample})
    own, resolved = denoiser(teacher), settings.student("few")
    taught = distill._lessons(own, settings, resolved, Resumption("distill@few", "key"))
    assert taught.told[:, 0].tolist() == [k % 10 for k in range(22)]
    assert taught.told[:, 1].unique().tolist() == [1.5, 2.25, 3.0]
    seed = derive_seed(student.seed, "distill/paths")
    for k in (0, 11, 21):
        cell = distill._cell(settings, resolved, float(taught.told[k, 1]))
        first = k - k % 8
        states = lesson(own, cell, seed, range(first, first + 8), student.points)
        assert torch.equal(states[k % 8, :-1], taught.states[k])
        assert torch.equal(states[k % 8, -1], taught.ends[k])


def lessons(count: int) -> Lessons:
    states = torch.arange(count * 4.0).view(count, 4, 1, 1, 1).expand(-1, -1, 1, 28, 28)
    ends = torch.zeros(count, 1, 28, 28)
    labels = torch.arange(count) % 10
    return Lessons(states, ends, told(labels, 1.5), trailing(SCHEDULE, 4))


def objective(taught: Lessons, batch_size: int, from_noise: float = 0.55) -> Distillation:
    return Distillation(
        taught,
        SCHEDULE,
        PREDICTIONS["v"],
        batch_size=batch_size,
        from_noise=from_noise,
        seed=0,
        device=CPU,
    )


def test_an_objective_asks_from_every_point_as_often_as_said() -> None:
    """State k of path p is 4 p + k here: what is shown tells which it was."""
    own, shown = objective(lessons(500), 500), []

    def network(x: Tensor, t: Tensor, asked: Tensor) -> Tensor:
        point = x[:, 0, 0, 0].long() % 4
        assert torch.equal(t, torch.tensor(trailing(SCHEDULE, 4))[point])
        assert torch.equal(asked[:, 0].long(), x[:, 0, 0, 0].long() // 4 % 10)
        shown.append(point)
        return torch.zeros_like(x)

    for step in range(20):
        own(network, step)
    shares = torch.bincount(torch.cat(shown), minlength=4) / 10_000
    assert torch.allclose(shares, torch.tensor([0.55, 0.15, 0.15, 0.15]), atol=0.02)


def test_the_loss_of_an_output_that_sees_the_end_is_none() -> None:
    """And that of another is how far off its x0 is, on average, the sign apart."""
    taught = lessons(8)
    at = SCHEDULE.level(torch.tensor(taught.timesteps).view(-1, 1, 1, 1))
    alphas, sigmas = (
        dict(zip(taught.timesteps, v.flatten(), strict=True)) for v in (at.alpha, at.sigma)
    )

    def seeing(apart: float) -> Tensor:
        def network(x: Tensor, t: Tensor, asked: Tensor) -> Tensor:
            alpha, sigma = (
                torch.stack([one[int(k)] for k in t]).view(-1, 1, 1, 1).float()
                for one in (alphas, sigmas)
            )
            return (alpha * x - apart) / sigma

        loss, details = objective(taught, 8)(network, 0)
        assert details.shape == (8, 2) and details[:, 1].mean() == pytest.approx(
            float(loss), abs=1e-5
        )
        return loss

    assert float(seeing(0.0)) == pytest.approx(0, abs=1e-5)
    assert float(seeing(-0.25)) == pytest.approx(0.25, abs=1e-4)


def test_a_student_learns_its_teacher_s_guided_ends(teacher: nn.Module) -> None:
    """Where the teacher ends in sixteen guided calls, it comes to see in one."""
    cell: ResolvedCell = CELL.model_copy(update={"guidance": 3.0, "guidance_interval": None})
    states = lesson(denoiser(teacher), cell, 0, range(16), points=4)
    asked = told(torch.arange(16) % 10, 3.0)
    taught = Lessons(states[:, :-1], states[:, -1], asked, trailing(SCHEDULE, 4))
    student, own = taught_nothing(teacher), objective(taught, 4)

    @torch.no_grad()
    def error() -> float:
        return sum(float(own(student, step)[0]) for step in range(1000, 1020)) / 20

    before = error()
    deque(fit(student, own, RECIPE, ExponentialAverage(student, 0.9)), maxlen=0)
    assert error() < 0.95 * before
