"""Runs the core's tests again and again, over sources that change in between.

A line on stdin starts a run in a process of its own, forked from this one, which has imported what
is slow to import and does not change; its exit code is the answer, a line on stdout.
"""

import os
import signal
import sys

import diffusers.schedulers.scheduling_ddim
import diffusers.schedulers.scheduling_ddpm
import diffusers.schedulers.scheduling_dpmsolver_multistep
import diffusers.schedulers.scheduling_dpmsolver_singlestep  # noqa: F401
import hypothesis.strategies  # noqa: F401
import pandas as pd  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.integrate
import scipy.stats  # noqa: F401

UNIT = (
    *("schedules", "forward", "timesteps", "spacings", "guidance", "sampling", "training"),
    *("training_state", "resumption", "threads", "files", "lineage"),
)
CORE_TESTS = [
    [f"tests/unit/test_{name}.py" for name in UNIT],
    ["tests/properties"],
    ["tests/conformance"],
    ["tests/unit/test_source.py"],
]
"""The quickest first, for a run ends at the first red test."""


SECONDS = 900
"""A mutant may loop for ever: by then it is stopped, and has not been killed by a test."""


def core_tests() -> int:
    """pytest's exit code over the tests of the folder this stands in, up to the first failure."""
    sys.path.insert(0, "src")
    options = ["-q", "-x", "-p", "no:cacheprovider"]
    return next((code for group in CORE_TESTS if (code := pytest.main([*options, *group]))), 0)


def main() -> None:
    sys.dont_write_bytecode = True
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            signal.alarm(SECONDS)
            os._exit(core_tests())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
