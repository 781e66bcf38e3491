"""Whether images are those that the same weights draw where kernels round otherwise.

Two machines draw float32 pixels that differ in their last bits, and so grey levels that differ by
one where a pixel lies close to the border between two. How far the last bits of one image grow on
its way is told by drawing it in float64 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from mnist_diffusion.dataset.pixels import HALF_RANGE

MOST_LEVELS = 1
MOST_PIXELS = 0.001
"""What two machines' images may differ by: grey levels at a pixel, and the share of pixels."""
REACH = 8.0
"""How many times as far as float32 here another machine's may be from float64."""


class DoublePrecision(TorchFunctionMode):
    """Within it torch computes in float64 whatever is float32, constants and noise as drawn."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        called = torch.Tensor.double if func is torch.Tensor.float else func
        return called(*tree_map(_doubled, args), **tree_map(_doubled, kwargs or {}))


def _doubled(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.double()
    return torch.float64 if value is torch.float32 else value


def within_bounds(apart: NDArray[np.integer[Any]]) -> bool:
    """Whether grey levels (n, 28, 28) apart are as few as rounding makes of almost every image."""
    return int(apart.max(initial=0)) <= MOST_LEVELS and bool((apart > 0).mean() <= MOST_PIXELS)


def reached(stored: NDArray[np.uint8], drawn: Tensor, exact: Tensor) -> NDArray[np.bool_]:
    """Of images (n, 28, 28), whether each is as near to `exact` as float32 gets: (n,).

    `drawn` and `exact` are (n, 1, 28, 28) in float32 and float64. A grey level may be off by half
    of one, for it was rounded, and by some times what the float32 pixel of this image that is worst
    off has lost here.
    """
    levels = _levels(exact)
    lost = np.abs(_levels(drawn) - levels).max(axis=(1, 2), keepdims=True)
    near = np.abs(stored - levels) <= 0.5 + REACH * lost
    return np.asarray(near.all(axis=(1, 2)))


def _levels(images: Tensor) -> NDArray[np.float64]:
    """Grey levels before they are rounded."""
    levels: NDArray[np.float64] = ((images.double().cpu().clamp(-1, 1) + 1) * HALF_RANGE).numpy()
    return levels[:, 0]
