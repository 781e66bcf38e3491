"""What a network costs: floating-point operations of one image, counted and not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def mflops(function: Callable[..., Any], *inputs: Tensor) -> float:
    """Millions of operations of a call, a multiplication and its addition counted as two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        function(*inputs)
    return float(counter.get_total_flops()) / 1e6
