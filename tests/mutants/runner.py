"""Runs files of tests again and again, over sources that change in between.

A line on stdin names a file of tests, which is run in a process of its own, up to the first red
one; pytest's exit code is the answer, a line on stdout. The process that forks has imported what is
slow to import and does not change.
"""

import os
import signal
import sys

import diffusers.schedulers.scheduling_ddim
import diffusers.schedulers.scheduling_ddpm
import diffusers.schedulers.scheduling_dpmsolver_multistep
import diffusers.schedulers.scheduling_dpmsolver_singlestep
import diffusers.schedulers.scheduling_flow_match_euler_discrete  # noqa: F401
import hypothesis.strategies  # noqa: F401
import pandas as pd  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.integrate
import scipy.stats  # noqa: F401

SECONDS = 900
"""A mutant may loop for ever: by then it is stopped, and has not been killed by a test."""


def main() -> None:
    sys.dont_write_bytecode = True
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            signal.alarm(SECONDS)
            sys.path.insert(0, "src")
            os._exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", line.strip()]))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
