"""Training: the loss is what it says, runs are paired, and the numbers stay what they were."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from test_networks import SIZES
from torch import Tensor, nn

from mnist_diffusion.diffusion.schedules import SCHEDULES, zero_terminal_snr
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.seeds import seeded
from mnist_diffusion.settings import Networks, Recipe, Run, Train
from mnist_diffusion.settings.resolve import resolve_run
from mnist_diffusion.training.asking import AskedByLabel
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.examples import PixelExamples
from mnist_diffusion.training.loop import Step, fit, rate_factor
from mnist_diffusion.training.optim import ExponentialAverage, Muon, orthogonalise
from mnist_diffusion.training.run_state import History

CPU = torch.device("cpu")
RUN = Run(
    schedule="cosine",
    zero_terminal_snr=False,
    space="prepared",
    conditioning="class",
    asked="data/prepared",
    network="unet",
    recipe="fast",
    prediction="v",
    weighting="epsilon",
    timestep_sampling="uniform",
    seed=0,
)
RECIPE = Recipe(
    optimizer="muon",
    learning_rate=3e-3,
    muon_learning_rate=0.02,
    decay="cosine",
    warmup=0.1,
    gradient_clip=1.0,
    steps=5,
    batch_size=16,
    parts=2,
    ema=0.9,
)
TRAIN = Train.model_validate(
    {
        "timesteps": 1000,
        "label_dropout": 0.1,
        "log_every": 1,
        "snapshots": 2,
        "weightings": {
            "epsilon": {},
            "x0": {},
            "v": {},
            "p2": {"k": 1.0, "gamma": 1.0, "unit_mean": False},
            "min-snr": {"gamma": 5.0, "unit_mean": False},
        },
        "timestep_samplings": {
            "uniform": {},
            "stratified": {},
            "importance": {"history": 1, "uniform_share": 0.5},
            "laplace": {"location": 0.0, "scale": 0.5},
            "logit-normal": {"mean": 0.0, "deviation": 1.0},
        },
        "recipes": {"fast": RECIPE},
    }
)
NETWORKS = Networks.model_validate({"unet": SIZES, "simple": {"embedding": 32}})


def digits(count: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    images = torch.randint(256, (count, 28, 28), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 10


def objective(run: Run = RUN, label_dropout: float = 0.1, device: torch.device = CPU) -> Denoising:
    schedule = SCHEDULES[run.schedule](1000)
    if run.zero_terminal_snr:
        schedule = zero_terminal_snr(schedule)
    train = TRAIN.model_copy(update={"label_dropout": label_dropout})
    allowed = resolve_run(run.model_copy(update={"prediction": "v"}), train, NETWORKS, {}, 0)
    images, labels = digits()
    examples, asking = PixelExamples(images), AskedByLabel(labels)
    resolved = allowed.model_copy(update={"run": run})
    return Denoising(examples, asking, resolved, schedule, device)


def train(run: Run = RUN, recipe: Recipe = RECIPE) -> tuple[nn.Module, list[Step]]:
    network = seeded(lambda: checkpoint.build(DENOISERS, "unet", SIZES), seed=0)
    return network, list(fit(network, objective(run), recipe, ExponentialAverage(network, 0.9)))


class Constant(nn.Module):
    """Puts out one value, whatever goes in; it remembers what went in."""

    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.x, self.t, self.labels = x, t, labels
        return self.value.expand_as(x)


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
def test_the_loss_is_the_mse_of_the_predicted_noise(prediction: str) -> None:
    """However the output is read: recomputed from x_t alone, without weightings or factors."""
    run = RUN.model_copy(update={"prediction": prediction})
    network, step = Constant(0.3), 3
    task = objective(run)
    loss, details = task(network, step)
    at = SCHEDULES["cosine"](1000).level(network.t.view(-1, 1, 1, 1))
    alpha, sigma = at.alpha, at.sigma
    x_t, x0 = network.x.double(), task.batch(step)[0].double()
    noise = (x_t - alpha * x0) / sigma
    output = torch.full_like(x_t, 0.3)
    predicted = {
        "epsilon": output,
        "x0": (x_t - alpha * output) / sigma,
        "v": alpha * output + sigma * x_t,
    }[prediction]
    expected = (predicted - noise).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(details[:, 1].double(), expected, rtol=1e-3, atol=1e-5)
    assert float(loss.detach()) == pytest.approx(float(expected.mean()), rel=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize(
    ("weighting", "factor"),
    [
        ("v", lambda snr: (1 + snr) / snr),
        ("x0", lambda snr: 1 / snr),
        ("p2", lambda snr: 1 / (1 + snr)),
        ("min-snr", lambda snr: snr.clamp(max=5) / snr),
    ],
)
def test_a_weighting_is_its_factor_on_epsilon_whatever_the_output(
    prediction: str, weighting: str, factor: Callable[[Tensor], Tensor]
) -> None:
    task = objective(RUN.model_copy(update={"prediction": prediction, "weighting": weighting}))
    loss, details = task(Constant(0.3), 3)
    t, epsilon_error = details.double().unbind(dim=1)
    at = SCHEDULES["cosine"](1000).level(t.long())
    expected = (epsilon_error * factor((at.alpha / at.sigma) ** 2)).mean()
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_pure_noise_can_be_trained_on(prediction: str) -> None:
    """At zero terminal SNR, with the noisiest timestep in the batch: v is -x0 there."""
    run = RUN.model_copy(
        update={"zero_terminal_snr": True, "prediction": prediction, "weighting": "v"}
    )
    task, network = objective(run), Constant(0.3)
    task.timesteps.draw = lambda count, _: (torch.full((count,), 999), torch.ones(count))  # type: ignore[method-assign]
    loss, details = task(network, 0)
    x0 = task.batch(0)[0]
    wanted = x0 if prediction == "x0" else -x0
    assert float(loss.detach()) == pytest.approx(float((0.3 - wanted).square().mean()), rel=1e-5)
    assert float(details[:, 1].abs().max()) == 0
    loss.backward()
    assert bool(
        torch.stack([p.grad for p in network.parameters() if p.grad is not None]).isfinite().all()
    )


def test_importance_sampling_leaves_the_expected_loss() -> None:
    """One timestep's losses are remembered as large: it is drawn more often, and counts less."""
    task = objective(RUN.model_copy(update={"timestep_sampling": "importance"}))
    remembered = torch.ones(1000)
    remembered[500:] = 9.0
    task.timesteps.observe(torch.arange(1000), remembered)
    network = Constant(0.0)
    drawn, weighted = [], []
    for step in range(40):
        task.timesteps.observe(torch.arange(1000), remembered)
        loss, details = task(network, step)
        t, error = details.double().unbind(dim=1)
        # p is half uniform, half 1 : 9.
        likely = torch.where(t < 500, 0.5 + 0.5 * 0.2, 0.5 + 0.5 * 1.8)
        drawn.append((t >= 500).double().mean())
        weighted.append((float((error / likely).mean()), float(loss.detach())))
    assert float(torch.stack(drawn).mean()) == pytest.approx(0.7, abs=0.08)
    for by_hand, loss_of_step in weighted:
        assert loss_of_step == pytest.approx(by_hand, rel=1e-4)


def test_runs_are_paired() -> None:
    """Other schedule or conditioning, same seed: same images, timesteps and noise."""
    seen = []
    for update in ({}, {"schedule": "linear"}, {"conditioning": "uncond"}):
        run = RUN.model_copy(update=update)
        task, network = objective(run), Constant(0.0)
        task(network, 5)
        at = SCHEDULES[run.schedule](1000).level(network.t.view(-1, 1, 1, 1))
        noise = (network.x - at.alpha.float() * task.batch(5)[0]) / at.sigma.float()
        seen.append((task.batch(5)[0], network.t, noise))
    for images, t, noise in seen[1:]:
        assert torch.equal(images, seen[0][0])
        assert torch.equal(t, seen[0][1])
        torch.testing.assert_close(noise, seen[0][2], rtol=1e-3, atol=1e-3)


def test_labels_are_dropped_at_the_rate_that_is_set() -> None:
    labels = torch.cat([objective(label_dropout=0.1).batch(step)[1] for step in range(400)])
    assert float((labels == -1).float().mean()) == pytest.approx(0.1, abs=0.015)
    unconditional = objective(RUN.model_copy(update={"conditioning": "uncond"}))
    assert bool((unconditional.batch(0)[1] == -1).all())


def test_five_steps_give_the_losses_they_gave() -> None:
    """A refactor must not move these; measured with this code on 2026-11-23."""
    _, steps = train()
    assert [s.loss for s in steps] == pytest.approx(GOLDEN, rel=1e-4)


GOLDEN = [0.362659, 0.392515, 0.411952, 0.264675, 0.435686]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    network = Constant(float("nan"))
    recipe = RECIPE.model_copy(update={"optimizer": "adam", "muon_learning_rate": None})
    with pytest.raises(UserError, match="loss is nan at step 0"):
        next(fit(network, objective(), recipe, ExponentialAverage(network, 0.9)))


def test_a_gradient_that_is_not_finite_stops_the_training_before_the_weights_move() -> None:
    class Root(Constant):
        def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            return super().forward(x, t, labels) * 0 + self.value.sqrt()

    network = Root(0.0)
    recipe = RECIPE.model_copy(update={"optimizer": "adam", "muon_learning_rate": None})
    with pytest.raises(UserError, match=r"gradient is (inf|nan) at step 0"):
        next(fit(network, objective(), recipe, ExponentialAverage(network, 0.9)))
    assert float(network.value.detach()) == 0.0


@pytest.mark.parametrize(("name", "reach"), [("laplace", 4.0), ("logit-normal", 8.0)])
def test_a_density_draws_what_is_trained_on_and_its_loss_is_the_plain_mean(
    name: str, reach: float
) -> None:
    """Around log-SNR 0, on whatever schedule the run has."""
    for schedule in ("linear", "rectified-flow"):
        task = objective(RUN.model_copy(update={"timestep_sampling": name, "schedule": schedule}))
        loss, details = task(Constant(0.3), 3)
        t, epsilon_error = details.double().unbind(dim=1)
        log_snr = SCHEDULES[schedule](1000).level(t.long()).snr.log()
        assert float(log_snr.abs().max()) < reach
        assert float(log_snr.min()) < 0 < float(log_snr.max())
        assert float(loss.detach()) == pytest.approx(float(epsilon_error.mean()), rel=1e-5)


def test_importance_sampling_sees_the_loss_of_every_image() -> None:
    task = objective(RUN.model_copy(update={"timestep_sampling": "importance"}))
    expected = torch.zeros(1000, dtype=torch.float64)
    for step in range(3):
        for t, loss in task(Constant(0.5), step)[1].tolist():
            expected[int(t)] = loss  # of the weighting that is MSE of epsilon
    assert (expected > 0).sum() > 30
    torch.testing.assert_close(task.timesteps.state()["losses"][:, 0], expected)


def test_the_average_is_the_recurrence_with_warm_up() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = ExponentialAverage(network, 0.5)
    expected = float(network.weight)
    for update in range(1, 30):
        with torch.no_grad():
            network.weight.fill_(float(update))
        average.update()
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * update
        assert float(average.copies()[0]) == pytest.approx(expected, rel=1e-5)  # it forgets soon
    average.copy_to(network)
    assert float(network.weight) == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    recipe = RECIPE.model_copy(update={"steps": 1000})
    factors = [rate_factor(step, recipe) for step in range(1000)]
    assert factors[0] == pytest.approx(0.01, rel=0.01)
    assert factors.index(max(factors)) == pytest.approx(99, abs=2)
    assert factors[-1] < 1e-4
    constant = recipe.model_copy(update={"decay": "constant", "warmup": 0.0})
    assert {rate_factor(step, constant) for step in (0, 500, 999)} == {1.0}


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    matrix = torch.randn(24, 60, generator=torch.Generator().manual_seed(0))
    for shaped in (matrix, matrix.T):
        values = torch.linalg.svdvals(orthogonalise(shaped))
        assert 0.6 < float(values.min()) <= float(values.max()) < 1.3


def test_muon_agrees_with_torchs_own_on_a_matrix() -> None:
    """torch's works in bfloat16 (hence the tolerance), scales alike and decays weights (off)."""
    start = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    optimizers = (
        Muon([ours], lr=0.1),
        torch.optim.Muon([theirs], lr=0.1, momentum=0.95, weight_decay=0.0),
    )
    for step in range(3):
        gradient = torch.randn(16, 8, generator=torch.Generator().manual_seed(step + 1))
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (ours - start).norm()
    assert float((ours - theirs).norm() / moved) < 0.02


def test_history_is_means_over_windows_and_bins(tmp_path: Path) -> None:
    history = History(timesteps=1000, batch_size=2, every=2)
    for number, loss in enumerate([1.0, 3.0, 5.0], start=1):
        details = torch.tensor([[50.0, loss], [950.0, 10 * loss]])
        history.add(Step(number, loss, 2 * loss, 0.1, details))
    history.write(tmp_path)
    table = pd.read_csv(tmp_path / "history.csv")
    assert table["step"].tolist() == [2, 3]
    assert table["images"].tolist() == [4, 6]
    assert table["loss"].tolist() == [2.0, 5.0]
    assert table["gradient_norm"].tolist() == [4.0, 10.0]
    bins = pd.read_csv(tmp_path / "loss_by_timestep.csv")
    assert bins.to_dict("list") == {
        "step": [2, 2, 3, 3],
        "bin_start": [0, 900, 0, 900],
        "bin_end": [100, 1000, 100, 1000],
        "loss": [2.0, 20.0, 5.0, 50.0],
    }
