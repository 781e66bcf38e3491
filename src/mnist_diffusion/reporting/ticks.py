"""Logarithmic axes with ticks that one can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

APART = 1.15
"""How many times as high one labelled cost must be as the next, or the labels overlap."""


def log_values(panel: Axes) -> None:
    """A logarithmic value axis with ticks one can read: 1, 2, 5, 10."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    panel.yaxis.set_minor_locator(NullLocator())


def log_costs(panel: Axes, costs: Iterable[int]) -> None:
    """A logarithmic cost axis with a tick at each cost there is room for, frequent ones first."""
    ticks: list[int] = []
    for cost, _ in Counter(costs).most_common():
        if all(max(cost, tick) >= APART * min(cost, tick) for tick in ticks):
            ticks.append(cost)
    panel.set_xscale("log")
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
