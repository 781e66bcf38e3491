"""Samplers: from noise to an image along a list of noise levels.

Each is a generator with one signature, `sampler(denoise, x, levels, noise, eta)`, that yields
`(x, x0)` after every step: the state, and the clean image the step believed in.
"""

from functools import partial

from mnist_diffusion.diffusion.samplers.consistency import consistency
from mnist_diffusion.diffusion.samplers.ddim import ddim
from mnist_diffusion.diffusion.samplers.ddpm import ddpm
from mnist_diffusion.diffusion.samplers.dpm_solver import dpm_solver
from mnist_diffusion.diffusion.samplers.heun import heun
from mnist_diffusion.diffusion.samplers.protocol import Noise, Sampler

SAMPLERS: dict[str, Sampler] = {
    "ddpm": ddpm,
    "ddpm-large": partial(ddpm, large=True),
    "ddim": ddim,
    "dpm-solver-1": partial(dpm_solver, order=1),
    "dpm-solver-2": partial(dpm_solver, order=2),
    "dpm-solver-3": partial(dpm_solver, order=3),
    "heun": heun,
    "consistency": consistency,
}

__all__ = ["SAMPLERS", "Noise", "Sampler", "consistency", "ddim", "ddpm", "dpm_solver", "heun"]
