"""Runs stages, each in a process of its own that can be made to kill itself at a given point.

A line of JSON on stdin asks for a run: the `folder`, the `stage`, its `name`, the event that is to
`kill` it and which of them, and after how many steps a state is saved, `every`. A line on stdout
answers: the exit code. What was said stands in <folder>/log. The process that forks has imported
what is slow and computed nothing, so that a child is like any new process.
"""

import functools
import importlib
import itertools
import json
import os
import shutil
import signal
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import torch._inductor  # noqa: F401  what asking for deterministic algorithms imports

from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.sampling.denoiser import TrainedDenoiser
from mnist_diffusion.settings import load_settings
from mnist_diffusion.training import learner
from mnist_diffusion.training.compression import Compression
from mnist_diffusion.training.contrast import Contrast
from mnist_diffusion.training.denoising import Denoising
from mnist_diffusion.training.distillation import Distillation
from mnist_diffusion.training.optim import ExponentialAverage
from mnist_diffusion.yardsticks import tstr

STAGES: dict[str, Any] = {
    n: importlib.import_module(f"mnist_diffusion.stages.{n}")
    for n in ("prepare", "captions", "clip", "codec", "latents", "train", "distill", "sample")
}
STAGES["yardstick"] = SimpleNamespace(run=lambda _, cell: tstr.tstr(cell, 11, seeds=2))
OUTS = {
    "train": paths.model,
    "distill": paths.model,
    "sample": paths.samples,
    "codec": paths.codec,
    "clip": lambda: paths.CLIP,
}
SECONDS = 900

Condition = Callable[..., bool]


def always(*_: Any) -> bool:
    return True


def in_resume(path: object, *_: Any) -> bool:
    return str(paths.RESUME) in str(path)


def of_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def of_file(descriptor: int) -> bool:
    return in_resume(Path(f"/proc/self/fd/{descriptor}").readlink()) and not of_folder(descriptor)


def to_write(path: Path, mode: str = "r", *_: Any) -> bool:
    return "w" in mode and in_resume(path)


BEFORE: dict[str, tuple[Any, str, Condition]] = {
    "step": (Denoising, "__call__", always),
    "codec step": (Compression, "__call__", always),
    "clip step": (Contrast, "__call__", always),
    "distill step": (Distillation, "__call__", always),
    "publish distill": (STAGES["distill"], "publish_folder", always),
    "publish codec": (STAGES["codec"], "publish_folder", always),
    "publish clip": (STAGES["clip"], "publish_folder", always),
    "update": (ExponentialAverage, "update", always),
    "call": (TrainedDenoiser, "conditioned", always),
    "open": (Path, "open", to_write),
    "write": (os, "fsync", of_file),
    "fsync": (os, "fsync", of_file),
    "rename": (os, "replace", in_resume),
    "folder": (os, "fsync", of_folder),
    "publish": (STAGES["train"], "publish_folder", always),
    "publish samples": (STAGES["sample"], "publish_folder", always),
    "publish yardstick": (tstr, "publish", always),
    "clear": (Resumption, "clear", always),
}
"""Events by what is about to be called."""
AFTER: dict[str, tuple[Any, str, Condition]] = {
    "saved": (Resumption, "save", always),
    "weights": (checkpoint, "save", always),
}
"""Events by what was called."""


def arm(event: str, nth: int) -> None:
    """From now on the nth such event kills this process."""
    owner, name, condition = (BEFORE | AFTER)[event]
    original, seen = getattr(owner, name), itertools.count(1)

    @functools.wraps(original)
    def armed(*arguments: Any, **options: Any) -> Any:
        last = condition(*arguments) and next(seen) == nth
        if last and event in AFTER:
            original(*arguments, **options)
        if last and event == "write":
            os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, armed)


def child(order: dict[str, Any]) -> NoReturn:
    """Run the stage as DVC does, which removes its outs first."""
    signal.alarm(SECONDS)
    os.chdir(order["folder"])
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # Time is counted in steps: a state is due after as many.
    learner.time = SimpleNamespace(monotonic=itertools.count().__next__)  # type: ignore[attr-defined]
    learner.SAVE_EVERY_SECONDS, learner.SAVE_SHARE = order.get("every", 0), float("inf")
    stage, names = order["stage"], [order["name"]] if order.get("name") else []
    if stage in OUTS:
        shutil.rmtree(OUTS[stage](*names), ignore_errors=True)
    if order.get("kill"):
        arm(*order["kill"])
    code = 1
    try:
        STAGES[stage].run(load_settings(), *names)
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
