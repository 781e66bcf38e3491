"""Kernel distance (KID, Bińkowski et al. 2018): unbiased, so that equal laws score 0 on average."""

from torch import Tensor
from torchmetrics.image.kid import poly_kernel, poly_mmd

from mnist_diffusion.evaluation.bootstrap import Estimate


def kernel_distance(real: Tensor, drawn: Tensor) -> float:
    """The squared MMD between features (n, d) of two sets of one size, by the cubic kernel.

    Over whole sets, not over random parts of them as is common: so nothing is left to chance.
    """
    return float(poly_mmd(real.double(), drawn.double()))


def kernel_estimate(real: Tensor, drawn: Tensor) -> Estimate:
    """The distance of the drawn set, with the influences of its images.

    An image's is twice how much nearer it is to the other drawn images than to real ones.
    """
    real, drawn = real.double(), drawn.double()
    among = poly_kernel(drawn, drawn).fill_diagonal_(0).sum(dim=1) / (len(drawn) - 1)
    across = poly_kernel(drawn, real).mean(dim=1)
    influences = 2 * (among - across)
    return Estimate(kernel_distance(real, drawn), influences - influences.mean())
