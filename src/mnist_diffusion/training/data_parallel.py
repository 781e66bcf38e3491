"""Data parallelism: a network whose batches are shared out among processes and their threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mnist_diffusion.runtime.ranks import all_pieces, own_pieces, require_shares
from mnist_diffusion.runtime.threads import parallel_map


def data_parallel(network: nn.Module, shards: int) -> Callable[..., Tensor]:
    """The network, given each of so many equal shards of a batch on its own.

    Outputs come in the batch's order, and the shards' gradients are added in that order: the bits
    depend on the number of shards, and not on that of the threads, nor on that of the processes,
    which must divide it, or UserError. The first dimension of all arguments is the batch, which
    must be a multiple of `shards`, and the same in all processes.
    """
    require_shares(shards)
    if shards == 1:
        return network
    parameters = list(network.parameters())

    def forward(*batch: Tensor) -> Tensor:
        pieces = list(zip(*(argument.chunk(shards) for argument in batch), strict=True))
        result: Tensor = _DataParallel.apply(network, pieces, *parameters)
        return result

    return forward


class _DataParallel(torch.autograd.Function):
    """Forward and backward of all shards; each has an autograd graph of its own, in one process."""

    @staticmethod
    def forward(
        ctx: Any, network: nn.Module, pieces: list[tuple[Tensor, ...]], *parameters: Tensor
    ) -> Tensor:
        device = parameters[0].device

        def run(piece: tuple[Tensor, ...]) -> Tensor:
            with torch.enable_grad():
                output: Tensor = network(*piece)
            return output

        ctx.parameters, ctx.shards = parameters, len(pieces)
        ctx.outputs = list(parallel_map(run, own_pieces(pieces), device))
        everyones = all_pieces((output.detach(),) for output in ctx.outputs)
        return torch.cat([output for (output,) in everyones])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        def run(piece: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
            output, of_output = piece
            return torch.autograd.grad(output, ctx.parameters, of_output)

        pieces = list(zip(ctx.outputs, own_pieces(gradient.chunk(ctx.shards)), strict=True))
        first, *others = all_pieces(parallel_map(run, pieces, gradient.device))
        total = list(first)
        for gradients in others:
            torch._foreach_add_(total, gradients)
        return None, None, *total
