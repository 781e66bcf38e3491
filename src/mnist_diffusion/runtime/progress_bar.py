"""Progress of long loops: a bar with rate and ETA on a terminal, plain lines in a log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar, cast

from tqdm import tqdm

Item = TypeVar("Item")
SECONDS_BETWEEN_LOG_LINES = 20


class _Lines:
    """Turns the carriage returns of a redrawn bar into line ends."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        if text.strip():
            self._stream.write(text.strip("\r\n") + "\n")

    def flush(self) -> None:
        self._stream.flush()


def track(
    iterable: Iterable[Item],
    *,
    total: int,
    description: str,
    unit: str,
    scale: int = 1,
    done: int = 0,
) -> Iterator[Item]:
    """Yield the items; each stands for `scale` units, `total` items in all, `done` before these."""
    terminal = sys.stderr.isatty()
    with tqdm(
        total=total * scale,
        initial=done * scale,
        desc=description,
        unit=unit,
        file=sys.stderr if terminal else cast(TextIO, _Lines(sys.stderr)),
        mininterval=0.2 if terminal else SECONDS_BETWEEN_LOG_LINES,
        ascii=not terminal,
        ncols=None if terminal else 100,
    ) as bar:
        for item in iterable:
            yield item
            bar.update(scale)
