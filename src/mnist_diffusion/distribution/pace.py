"""How far things are: a line a stage, with the rate, and how long the rest may take."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from statistics import fmean

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError


class Pace:
    """Of so many stages, by their addresses."""

    def __init__(self, addresses: Collection[str]):
        self._left = {*addresses}
        self._total = len(addresses)
        self._begun = time.monotonic()
        self._took: dict[str, list[float]] = {}
        self._earlier = {address: _earlier(address) for address in addresses}
        self._worked = 0

    def skip(self, address: str) -> None:
        """It is up to date: what it reads turned out to be as it was."""
        self._left.discard(address)
        self._total -= 1

    def done(self, address: str, seconds: float, workers: int) -> None:
        """Say that it has ended, after so many seconds of one of so many workers."""
        self._left.discard(address)
        self._worked += 1
        self._took.setdefault(_kind(address), []).append(seconds)
        each = (time.monotonic() - self._begun) / self._worked
        rest = sum(map(self._expected, self._left)) / max(1, workers)
        say(
            f"{address}: done in {clock(seconds)}; {self._total - len(self._left)} of "
            f"{self._total}, {60 / each:.3g} a minute, {clock(rest)} left"
        )

    def _expected(self, address: str) -> float:
        """By its own kind in this run, or by the last time, or by all that was done so far."""
        took = self._took.get(_kind(address))
        if took:
            return fmean(took)
        return self._earlier[address] or fmean(s for kind in self._took.values() for s in kind)


def say(line: str) -> None:
    """Tell the user a line, now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def clock(seconds: float) -> str:
    """Minutes and seconds, 4:05; with hours before them where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _kind(address: str) -> str:
    return address.partition("@")[0]


def _earlier(address: str) -> float | None:
    """What it took the last time, if that is on record."""
    try:
        return float(read_json(paths.TIMINGS / f"{address}.json")["seconds"])
    except (UserError, KeyError, TypeError, ValueError):
        return None
