"""`mnist-diffusion`, as DVC finds it in these tests: it keeps a state after each step, and waits.

PAUSE is the stage's address and the states after which it waits for a file `.work/go`, such as
`train@a 12`; meanwhile `.work/paused` holds its process id. Other stages run as ever.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from mnist_diffusion import cli
from mnist_diffusion.runtime.resumption import Resumption
from mnist_diffusion.training import learner

PAUSED, GO = Path(".work/paused"), Path(".work/go")


def pause() -> None:
    """Say that we wait, and wait."""
    PAUSED.with_suffix(".new").write_text(str(os.getpid()))
    PAUSED.with_suffix(".new").rename(PAUSED)
    while not GO.exists():
        time.sleep(0.02)


def main() -> None:
    """Wait in the stage that PAUSE names."""
    address, states = os.environ["PAUSE"].split()
    save, saved = Resumption.save, 0

    def save_and_wait(self: Resumption, *arguments: Any, **options: Any) -> None:
        nonlocal saved
        save(self, *arguments, **options)
        saved += 1
        if saved == int(states) and self.address == address:
            pause()

    Resumption.save = save_and_wait  # type: ignore[method-assign]
    learner.SAVE_EVERY_SECONDS, learner.SAVE_SHARE = 0, float("inf")
    sys.argv[0] = "mnist-diffusion"
    cli.main()


if __name__ == "__main__":
    main()
