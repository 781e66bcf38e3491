"""`mnist-diffusion`, with a state after each step, and a pause where a test is to kill it.

The file in ATTEMPTS gets a line each time: the process, the stage, and whether it goes on from a
state. Without that variable there is no pause.
"""

import os
import time
from typing import Any

from mnist_diffusion.cli import main
from mnist_diffusion.runtime.resumption import Resumption, State
from mnist_diffusion.training import learner

learner.SAVE_EVERY_SECONDS, learner.SAVE_SHARE = 0.0, float("inf")
load, save = Resumption.load, Resumption.save
file = os.environ.get("ATTEMPTS")
seconds = 0.6 if file else 0.0


def noted_load(self: Resumption) -> State | None:
    global seconds
    state = load(self)
    seconds = 0.0 if state else seconds
    if file:
        with open(file, "a") as attempts:  # noqa: PTH123
            attempts.write(f"{os.getpid()} {self.address} {int(bool(state))}\n")
    return state


def slow_save(self: Resumption, *arguments: Any) -> None:
    save(self, *arguments)
    time.sleep(seconds)


Resumption.load, Resumption.save = noted_load, slow_save  # type: ignore[method-assign]
main()
