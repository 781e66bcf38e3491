"""Networks over many inputs, in batches of one shape, for kernels may round otherwise in others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mnist_diffusion.runtime.threads import parallel_map

BATCH = 500


def in_batches(
    function: Callable[[Tensor], tuple[Tensor, ...]], inputs: Tensor, device: torch.device
) -> list[Tensor]:
    """What a function puts out for inputs (n, …), each output (n, …) on the CPU.

    It is given BATCH of them at a time, on the device and in channels_last where they are images;
    the last batch is padded with the first input.
    """

    @torch.inference_mode()
    def run(batch: Tensor) -> tuple[Tensor, ...]:
        if batch.ndim == 4:
            batch = batch.contiguous(memory_format=torch.channels_last)
        return tuple(output.cpu().contiguous() for output in function(batch.to(device)))

    rest = inputs[:1].expand(-len(inputs) % BATCH, *inputs.shape[1:])
    results = parallel_map(run, torch.cat([inputs, rest]).split(BATCH), device)
    return [torch.cat(parts)[: len(inputs)] for parts in zip(*results, strict=True)]
