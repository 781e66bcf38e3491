"""Kernel distances to all training digits: unbiased, so that equal laws score 0 on average.

kid: the squared MMD of Bińkowski et al. (2018) by its cubic kernel, which compares three moments.
energy: the energy distance (Székely & Rizzo 2013), the squared MMD by the kernel -|x - y|, over the
mean distance of two training digits. That kernel is characteristic: only equal laws score 0, and it
has no width to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mnist_diffusion.evaluation.estimates import Estimate
from mnist_diffusion.runtime.threads import parallel_map

AT_A_TIME = 250
"""Images that meet others at once, and"""
BLOCK = 2000
"""as many of those: 2 MB of kernels, which a processor's cache holds."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Met:
    """What each of n images is to some real digits, on average and at the nearest."""

    kernels: Mapping[str, Tensor]
    """By distance: (n,) float64, the mean kernel with them."""
    nearest: Tensor
    """(n,) float32: the distance to the nearest."""

    def chosen(self, images: Tensor) -> Met:
        """Of these images only."""
        kernels = {name: values[images] for name, values in self.kernels.items()}
        return Met(kernels, self.nearest[images])


def meet(features: Tensor, real: Tensor) -> Met:
    """Features (n, d) with real ones (m, d), float32 on the CPU; sums in float64."""
    blocks = real.split(BLOCK)

    def run(some: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cubic, energy = torch.zeros(2, len(some), dtype=torch.float64)
        nearest = torch.full((len(some),), torch.inf)
        for block in blocks:
            found = _kernels(some, block)
            cubic += found["kid"].sum(dim=1, dtype=torch.float64)
            energy += found["energy"].sum(dim=1, dtype=torch.float64)
            nearest = torch.minimum(nearest, -found["energy"].amax(dim=1))
        return cubic / len(real), energy / len(real), nearest

    parts = zip(*parallel_map(run, features.float().split(AT_A_TIME), CPU), strict=True)
    cubic, energy, nearest = (torch.cat(part) for part in parts)
    return Met({"kid": cubic, "energy": energy}, nearest)


def within(training: Tensor) -> dict[str, float]:
    """By distance: the mean kernel of two different training digits, of features (m, d).

    Of those in the same block of 2,000, in their order, which is random: as good as of all to first
    order, for every digit is in it, and in a thirtieth of the time.
    """
    totals: dict[str, float] = dict.fromkeys(("kid", "energy"), 0.0)
    counted = 0
    for block in training.float().split(BLOCK):
        if len(block) < 2:
            continue
        for name, values in _kernels(block, block).items():
            others = values.double().fill_diagonal_(0).sum() / (len(block) - 1)
            totals[name] += float(others)
        counted += len(block)
    return {name: total / counted for name, total in totals.items()}


def kernel_distances(
    features: Tensor, labels: Tensor, met: Met, real: Mapping[str, float]
) -> dict[str, Estimate]:
    """kid and energy of features (n, d) that were asked for labels (n,), one where for none.

    `met`: what they are to all training digits; `real`: what those are to one another. An image's
    influence is twice how much nearer it is to the other drawn images than to real ones.
    """
    found = {}
    for name, among in _among(features.float(), labels).items():
        across = met.kernels[name]
        values = 2 * (among - across)
        distance = float(among.mean()) - 2 * float(across.mean()) + real[name]
        unit = -real[name] if name == "energy" else 1.0
        estimate = Estimate(distance, values - values.mean(), labels)
        found[name] = estimate.scaled(1 / unit)
    return found


def _among(features: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """By distance: (n,) float64, each image's mean kernel with a set like its own.

    With itself an image stands for another of its own digit: in its place counts the mean over the
    others of that digit. So the mean over a set with a fixed number of each digit is unbiased, as
    that over all pairs of different images is for digits at random.
    """
    n = len(features)
    order = torch.arange(n)

    def run(some: Tensor) -> tuple[Tensor, ...]:
        same = labels[some][:, None] == labels
        others = (same.sum(dim=1) - 1).clamp(min=1)
        found = []
        for values in _kernels(features[some], features).values():
            values[torch.arange(len(some)), some] = 0
            own = (values * same).sum(dim=1, dtype=torch.float64) / others
            found.append((values.sum(dim=1, dtype=torch.float64) + own) / n)
        return tuple(found)

    parts = zip(*parallel_map(run, order.split(AT_A_TIME), CPU), strict=True)
    cubic, energy = (torch.cat(part) for part in parts)
    return {"kid": cubic, "energy": energy}


def _kernels(one: Tensor, other: Tensor) -> dict[str, Tensor]:
    """By distance: (n, m) kernels of features (n, d) and (m, d)."""
    products = one @ other.T
    squares = torch.add(other.square().sum(dim=1), products, alpha=-2)
    squares += one.square().sum(dim=1)[:, None]
    linear = products.div_(one.shape[1]).add_(1)
    return {"kid": linear.square().mul_(linear), "energy": squares.clamp_(min=0).sqrt_().neg_()}
