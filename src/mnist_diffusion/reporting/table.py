"""A comparison table: numbers in a pandas frame, and how a reader should see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from tabulate import tabulate

Best = Callable[[pd.Series], float]
LACKING = "n/a"


@dataclass(frozen=True)
class Column:
    """How one column of a frame is shown."""

    key: str
    title: str
    form: str = "{}"
    """A format for the values; words and numbers alike."""
    best: Best | None = None
    """pd.Series.min or max where one value is to stand out."""
    cell: str | None = None
    """The key of the column that names the cell behind each value."""
    lacking: str = LACKING
    """What stands where there is no value."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What a reader sees in place of some values; the CSV keeps them."""

    def show(self, value: Any) -> str:
        """One value as a reader sees it."""
        if pd.isna(value):
            return self.lacking
        return self.form.format(self.names.get(value, value))


@dataclass(frozen=True)
class Value:
    """One value as shown; `cell` is what it links to."""

    text: str
    best: bool = False
    cell: str | None = None
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A frame with its name (a file name too), caption and columns."""

    name: str
    caption: str
    frame: pd.DataFrame
    columns: list[Column]
    yardsticks: int = 0
    """How many first rows are there to compare with, not to win."""
    group: str | None = None
    """The key of the column that says which rows compete with one another; else all do."""
    note: str = ""
    """Sentences to stand below the table."""
    row_ids: str | None = None
    """The key of the column that gives each row its anchor."""

    def rows(self) -> list[list[Value]]:
        """The shown values, row by row."""
        shown = [self._values(column) for column in self.columns]
        return [list(row) for row in zip(*shown, strict=True)]

    def anchors(self) -> list[str | None]:
        """The cell each row is the anchor of, if any."""
        if self.row_ids is None:
            return [None] * len(self.frame)
        return list(self.frame[self.row_ids])

    def to_csv(self) -> str:
        """All of the frame, six significant digits, no index."""
        return self.frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")

    def to_markdown(self) -> str:
        """A pipe table; the best values are bold, cells link to their provenance."""
        rows = [
            [_markdown(value, anchor if first else None) for first, value in _mark_first(row)]
            for row, anchor in zip(self.rows(), self.anchors(), strict=True)
        ]
        titles = [column.title for column in self.columns]
        align = ["right" if value.number else "left" for value in self.rows()[0]]
        return tabulate(rows, titles, tablefmt="pipe", disable_numparse=True, colalign=align)

    def _values(self, column: Column) -> list[Value]:
        series = self.frame[column.key]
        number = pd.api.types.is_numeric_dtype(series)
        cells: list[Any] = list(self.frame[column.cell]) if column.cell else [None] * len(series)
        return [
            Value(
                column.show(value),
                best=best,
                cell=None if pd.isna(value) or pd.isna(cell) else cell,
                number=number,
            )
            for value, best, cell in zip(series, self._winners(column), cells, strict=True)
        ]

    def _winners(self, column: Column) -> list[bool]:
        """Which rows read best, each within its own group; yardsticks never."""
        if column.best is None:
            return [False] * len(self.frame)
        frame = self.frame.reset_index(drop=True)
        groups = frame[self.group] if self.group else pd.Series("", index=frame.index)
        rivals = frame[column.key].iloc[self.yardsticks :]
        best = {name: _best_text(own, column) for name, own in rivals.groupby(groups)}
        return [
            row >= self.yardsticks and column.show(value) == best.get(group)
            for row, (value, group) in enumerate(zip(frame[column.key], groups, strict=True))
        ]


def _best_text(series: pd.Series, column: Column) -> str | None:
    """What reads the same is equally good: nobody wins by a digit that is not shown."""
    texts = {column.show(value) for value in series.dropna()}
    return column.show(column.best(series)) if column.best and len(texts) > 1 else None


def _mark_first(row: list[Value]) -> list[tuple[bool, Value]]:
    return [(index == 0, value) for index, value in enumerate(row)]


def _markdown(value: Value, anchor: str | None) -> str:
    text = value.text.replace("|", "\\|")
    if value.cell and not anchor:
        text = f"[{text}](#cell-{value.cell})"
    if anchor:
        text = f'<a id="cell-{anchor}"></a>{text}'
    return f"**{text}**" if value.best else text
