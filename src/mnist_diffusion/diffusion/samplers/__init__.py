"""Samplers: from noise to an image along a list of noise levels.

Each is a generator with one signature, `sampler(denoise, x, levels, noise, eta)`, that yields
`(x, x0)` after every step: the state, and the clean image the step believed in.
"""

from mnist_diffusion.diffusion.samplers.ddim import ddim
from mnist_diffusion.diffusion.samplers.ddpm import ddpm
from mnist_diffusion.diffusion.samplers.dpm_solver import dpm_solver
from mnist_diffusion.diffusion.samplers.protocol import Noise, Sampler

SAMPLERS: dict[str, Sampler] = {"ddpm": ddpm, "ddim": ddim, "dpm-solver": dpm_solver}

__all__ = ["SAMPLERS", "Noise", "Sampler", "ddim", "ddpm", "dpm_solver"]
