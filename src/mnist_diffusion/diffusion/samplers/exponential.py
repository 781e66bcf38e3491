"""The exact solution of the probability-flow ODE while x0 stands still."""

import torch
from torch import Tensor

from mnist_diffusion.diffusion.schedules import Level


def exponential_step(x: Tensor, x0: Tensor, here: Level, there: Level) -> Tensor:
    """x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) x0.

    The first order of DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095, section 4). h is the step of
    half-log-SNR; infinite where `here` has no signal left, which is no problem.
    """
    h = there.half_log_snr - here.half_log_snr
    return (there.sigma / here.sigma).to(x) * x - (there.alpha * torch.expm1(-h)).to(x) * x0
