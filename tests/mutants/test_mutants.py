"""The fast tests against a core that is wrong in one place: each mutant must turn one red.

`make test-slow` runs it. A mutant is an exact piece of text, so a refactor that moves a formula has
to bring its mutant along.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CORE_TESTS = [
    "tests/conformance",
    *(
        f"tests/unit/test_{name}.py"
        for name in ("schedules", "forward", "timesteps", "guidance", "sampling", "training")
    ),
]
DIFFUSION = "diffusion/"
SAMPLERS = "diffusion/samplers/"

MUTANTS = {
    "linear betas not scaled to T": (
        DIFFUSION + "schedules.py",
        "scale = 1000 / timesteps",
        "scale = 1.0",
    ),
    "quadratic without its square": (DIFFUSION + "schedules.py", "roots**2", "roots"),
    "cosine with ten times the offset": (DIFFUSION + "schedules.py", "= 0.008", "= 0.08"),
    "cosine beta clipped early": (DIFFUSION + "schedules.py", "= 0.999)", "= 0.9)"),
    "beta in the place of alpha": (
        DIFFUSION + "schedules.py",
        "torch.cumprod(1 - self.betas",
        "torch.cumprod(self.betas",
    ),
    "sigma squared": (
        DIFFUSION + "schedules.py",
        "alpha_bar.sqrt(), (1 - alpha_bar).sqrt()",
        "alpha_bar.sqrt(), 1 - alpha_bar",
    ),
    "log-SNR upside down": (
        DIFFUSION + "schedules.py",
        "torch.log(self.alpha) - torch.log(self.sigma)",
        "torch.log(self.sigma) - torch.log(self.alpha)",
    ),
    "closed form with sigma squared": (
        DIFFUSION + "forward.py",
        "at.sigma.to(x0.dtype) * noise",
        "at.sigma.to(x0.dtype) ** 2 * noise",
    ),
    "chain that does not shrink": (DIFFUSION + "forward.py", "(1 - beta).sqrt()", "(1 - beta)"),
    "epsilon read with the wrong sign": (
        DIFFUSION + "predictions.py",
        "x_t - at.sigma.to(x_t) * output) /",
        "x_t + at.sigma.to(x_t) * output) /",
    ),
    "v with the wrong sign": (
        DIFFUSION + "predictions.py",
        "at.alpha.to(x0) * noise - at.sigma",
        "at.alpha.to(x0) * noise + at.sigma",
    ),
    "v read with alpha for sigma": (
        DIFFUSION + "predictions.py",
        "x_t - at.sigma.to(x_t) * output\n",
        "x_t - at.alpha.to(x_t) * output\n",
    ),
    "x0 loss factor upside down": (
        DIFFUSION + "predictions.py",
        "return at.alpha / at.sigma\n",
        "return at.sigma / at.alpha\n",
    ),
    "v weight of the wrong power": (DIFFUSION + "weightings.py", "at.alpha**-2", "at.alpha**-1"),
    "T for T - 1": (
        DIFFUSION + "timesteps.py",
        "np.arange(timesteps, 0,",
        "np.arange(timesteps - 1, 0,",
    ),
    "trailing shifted by one": (DIFFUSION + "timesteps.py", "int(t) - 1 for", "int(t) - 2 for"),
    "strata without the random offset": (DIFFUSION + "timesteps.py", ") + offset)", ") + 0.5)"),
    "guidance off by one (w for s)": (
        DIFFUSION + "guidance.py",
        "(x, at), scale)",
        "(x, at), scale + 1)",
    ),
    "s = 1 unconditional": (
        DIFFUSION + "guidance.py",
        "if scale == 1:\n        return conditional",
        "if scale == 1:\n        return unconditional",
    ),
    "clipping at twice the range": (DIFFUSION + "guidance.py", "clamp(-1, 1)", "clamp(-2, 2)"),
    "ddpm with the large variance": (
        SAMPLERS + "ddpm.py",
        "eta * beta.sqrt() * there.sigma / here.sigma",
        "eta * beta.sqrt()",
    ),
    "ddpm with beta of the full chain": (
        SAMPLERS + "ddpm.py",
        "beta = 1 - (here.alpha / there.alpha) ** 2",
        "beta = (1 - (here.alpha / there.alpha) ** 2) / 2",
    ),
    "ddim that forgets the noise it adds": (
        SAMPLERS + "ddim.py",
        "(there.sigma**2 - spread**2)",
        "(there.sigma**2)",
    ),
    "ddim with the old sigma": (
        SAMPLERS + "ddim.py",
        "direction.to(x) * epsilon",
        "here.sigma.to(x) * epsilon",
    ),
    "dpm-solver of order 1": (SAMPLERS + "dpm_solver.py", "if last is not None:", "if False:"),
    "dpm-solver extrapolating backwards": (
        SAMPLERS + "dpm_solver.py",
        "x0 + ((x0 - last_x0)",
        "x0 - ((x0 - last_x0)",
    ),
    "dpm-solver with the ratio upside down": (
        SAMPLERS + "dpm_solver.py",
        "(2 * ratio)",
        "(2 / ratio)",
    ),
    "dpm-solver without the last-step rule": (
        SAMPLERS + "dpm_solver.py",
        "if there.sigma == 0:",
        "if False:",
    ),
    "one generator for all images": (
        "randomness.py",
        "generator(root, purpose, index) for index",
        "generator(root, purpose) for index",
    ),
    "streams that share a seed": ("randomness.py", "{root}/{purpose}/{index}", "{root}/{index}"),
    "a tail that is not padded": (
        "sampling/draw.py",
        "indices = range(first, first + sample.micro_batch)",
        "indices = range(first, first + sample.micro_batch)[::-1]",
    ),
    "an average without warm-up": (
        "training/ema.py",
        "min(self._decay, (1 + self._updates) / (10 + self._updates))",
        "self._decay",
    ),
    "labels that are never dropped": (
        "training/denoising.py",
        "masked_fill(dropped, -1)",
        "masked_fill(dropped & False, -1)",
    ),
    "a loss on the output, not on epsilon": (
        "training/denoising.py",
        "self._prediction.epsilon_factor(at) ** 2",
        "at.alpha * 0 + 1",
    ),
    "a learning rate that does not fall": (
        "training/loop.py",
        'if recipe.decay == "cosine"',
        'if recipe.decay == "none"',
    ),
    "Muon without orthogonalising": (
        "training/muon.py",
        "orthogonalise(direction).view_as",
        "direction.contiguous().view_as",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    for name in ("src", "tests"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "params.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    return folder


def core_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the core's tests over the sources in a folder, up to the first failure."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *CORE_TESTS],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_core_as_it_is_passes(copy: Path) -> None:
    result = core_tests(copy)
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_killed(copy: Path, mutant: str) -> None:
    name, right, wrong = MUTANTS[mutant]
    path = copy / "src/mnist_diffusion" / name
    original = path.read_text(encoding="utf-8")
    assert original.count(right) == 1, (
        f"{name}: {right!r} stands there {original.count(right)} times"
    )
    path.write_text(original.replace(right, wrong), encoding="utf-8")
    try:
        result = core_tests(copy)
    finally:
        path.write_text(original, encoding="utf-8")
    # 1 is pytest's code for failed tests; others would be a mutant that does not even import.
    assert result.returncode == 1, result.stdout[-1000:]
