"""One stage by several processes that torchrun starts: who is who, and how pieces go around.

What goes around is copied and never added up on the way. NCCL, like gloo, promises of an all-gather
that every rank gets the very bytes of all others, in the order of the ranks; of an all-reduce it
promises no order, which depends on how many there are and on what links them. Whoever asks adds up
in the order of the pieces, and so the bits depend on kernels alone: N processes give those of one
on GPUs of one kind, and on processors that use the same instructions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from mnist_diffusion.runtime.errors import UserError, in_one_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Item = TypeVar("Item")


def world() -> int:
    """How many processes share the work; 1 where torchrun did not start this one."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ else 1


def rank() -> int:
    """Which of them this one is; 0 holds the lock, shows progress, keeps states and publishes."""
    return int(os.environ["RANK"]) if world() > 1 else 0


def join(device: torch.device) -> torch.device:
    """Meet the others, and take a GPU of one's own; the device. UserError if there is none left."""
    if world() == 1:
        return device
    import torch  # here, since it takes a second, and the command line asks for the rank alone

    if device.type == "cuda":
        own, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= count:
            raise UserError(f"LOCAL_RANK: {own}, but {count} GPUs are here; start one process each")
        torch.cuda.set_device(own)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """End the work in common, once all of it is done."""
    if world() > 1:
        import torch

        torch.distributed.destroy_process_group()


def require_same(digest: str) -> None:
    """Wait for the others; UserError if theirs is another hexadecimal digest."""
    if world() == 1:
        return
    import torch

    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    ours = torch.tensor([*bytes.fromhex(digest)], device=device)
    for number, (theirs,) in enumerate(all_pieces([(ours,)])):
        if not torch.equal(ours, theirs):
            raise UserError(
                f"rank {number}: data, settings, code, kernels or saved state are not those of "
                f"rank {rank()}; give all processes one folder, on machines of one kind"
            )


def require_shares(pieces: int) -> None:
    """UserError if so many pieces of a batch are not so many for each process."""
    if pieces % world():
        raise UserError(
            f"parts: {pieces} of a batch cannot be shared out equally among {world()} processes; "
            "start as many as divide it, or set a multiple"
        )


def own_pieces(pieces: Sequence[Item]) -> Sequence[Item]:
    """The stretch of all pieces that is this process's to work on."""
    share = len(pieces) // world()
    return pieces[rank() * share :][:share]


def all_pieces(own: Iterable[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """The results for all pieces in their order, from those for this process's own.

    A result is some tensors of one dtype, of the same shapes for each piece, and comes as it was in
    memory, too: other layouts would be added up in another order. UserError if a process has ended.
    """
    if world() == 1:
        yield from own
        return
    import torch

    results = list(own)
    mine = torch.stack([torch.cat([t.reshape(-1) for t in result]) for result in results])
    everyones = [torch.empty_like(mine) for _ in range(world())]
    try:
        torch.distributed.all_gather(everyones, mine)
    except RuntimeError as error:
        raise UserError(
            f"rank {rank()}: cannot reach the others ({in_one_line(error)}); "
            "see which ended first, and why, and run this again: it goes on from its last state"
        ) from None
    for row in chain.from_iterable(everyones):
        result = tuple(torch.empty_like(t) for t in results[0])
        pieces = row.split([t.numel() for t in result])
        torch._foreach_copy_(result, [p.view(t.shape) for p, t in zip(pieces, result, strict=True)])
        yield result
