"""Claims of latent diffusion, which nothing here can test yet."""

from __future__ import annotations

from mnist_diffusion.reporting.claims.claim import Claim, Outcome, UntestableError
from mnist_diffusion.reporting.results import Results


def _latent(results: Results) -> Outcome:
    spaces = sorted({run.settings.network for run in results.runs.values()})
    raise UntestableError(f"no run works in a latent space; the networks are {', '.join(spaces)}")


def _text(results: Results) -> Outcome:
    asked = sorted({run.settings.conditioning for run in results.runs.values()})
    raise UntestableError(f"no run is told a text; the conditionings are {', '.join(asked)}")


CLAIMS = [
    Claim(
        "latent",
        "Diffusion in a VAE's latent space is some 192 times cheaper; the VAE caps its quality.",
        "Connection to Stable Diffusion",
        "Needs runs on latents beside runs on pixels.",
        _latent,
    ),
    Claim(
        "text",
        "Guidance steers generation with a text prompt.",
        "Classifier-free guidance",
        "Needs runs that are conditioned on text.",
        _text,
    ),
]
