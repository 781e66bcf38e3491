"""Work shared out among threads, so that its bits do not depend on how many there are.

torch would split a kernel over the cores, and round differently for each number of them. Here every
kernel runs on one thread, and what is shared out are whole pieces of work that are the same on all
machines: the parts of a batch, the micro-batches of a set. On two cores that is faster, too: small
kernels gain little from a second thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

VARIABLE = "OMP_NUM_THREADS"
"""What everyone sets, who wants fewer threads than cores."""


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def single_threaded_kernels() -> None:
    """Keep torch, on the calling thread and on those that it starts, from splitting kernels."""
    import torch  # here, since it takes a second and others ask for the count alone

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def parallel_map(
    function: Callable[[Item], Result], items: Iterable[Item], device: torch.device
) -> Iterator[Result]:
    """The results in the order of the items, each from a thread of its own; on a GPU, one by one.

    Only as many are begun as there are threads, beyond those that were asked for. Not to be called
    from within `function`.
    """
    workers = worker_count()
    if device.type != "cpu" or workers == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(_pool().submit(function, item))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def worker_count() -> int:
    """How many threads share the work: the cores, or fewer where that is asked for."""
    asked = os.environ.get(VARIABLE, "")
    return min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(worker_count(), initializer=single_threaded_kernels)
