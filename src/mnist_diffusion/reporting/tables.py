"""A table as data: which rows of a wide frame, which columns, and how a reader should see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from mnist_diffusion.reporting.labels import TABLE_TITLES
from mnist_diffusion.reporting.results import Results

LACKING = "n/a"


@dataclass(frozen=True)
class Column:
    """How one column of a frame is shown."""

    key: str
    title: str
    form: str = "{}"
    """A format for the values; words and numbers alike."""
    best: Literal["min", "max"] | None = None
    """Which value is to stand out."""
    same_n: bool = False
    """Whether only rows of the n that most have may stand out: it moves with n."""
    links: bool = False
    """Whether a value leads to the row that says what its cell was made from."""
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
    """A spec's rows of these results, and the columns that it shows of them."""

    spec: Spec
    frame: pd.DataFrame
    columns: list[Column]
    note: str = ""

    def rows(self) -> list[list[Value]]:
        """The shown values, row by row."""
        return [list(row) for row in zip(*map(self._values, self.columns), strict=True)]

    def anchors(self) -> list[str | None]:
        """The cell each row is the anchor of, if any."""
        return list(self.frame["cell"]) if self.spec.anchors else [None] * len(self.frame)

    def to_csv(self) -> str:
        """Six significant digits, no index."""
        published = self.frame[list(self.spec.published)].rename(columns=self.spec.published)
        return published.to_csv(index=False, float_format="%.6g", lineterminator="\n")

    def _values(self, column: Column) -> list[Value]:
        series = self.frame[column.key]
        number = pd.api.types.is_numeric_dtype(series)
        linked = column.links and "cell" in self.frame
        cells = list(self.frame["cell"]) if linked else [None] * len(series)
        return [
            Value(column.show(value), best, None if pd.isna(value) or pd.isna(c) else c, number)
            for value, best, c in zip(series, self._winners(column), cells, strict=True)
        ]

    def _winners(self, column: Column) -> list[bool]:
        """Which rows read best, each within its own group; real digits never."""
        if column.best is None or not self.spec.crowns:
            return [False] * len(self.frame)
        frame = self.frame.reset_index(drop=True)
        groups = frame[self.spec.group] if self.spec.group else pd.Series("", index=frame.index)
        rivals = frame[column.key].iloc[self.spec.real_rows :].dropna()
        if column.same_n and "n" in frame:
            rivals = rivals[frame["n"] == frame["n"].mode()[0]]
        # What reads the same is equally good: nobody wins by a digit that is not shown.
        shown = rivals.map(column.show)
        best = rivals.groupby(groups).transform(column.best).map(column.show)
        several = shown.groupby(groups).transform("nunique") > 1
        return list((shown.eq(best) & several).reindex(frame.index, fill_value=False))


@dataclass(frozen=True)
class Spec:
    """A table as a filter of a frame."""

    name: str
    """Its file's too. Where params.yaml has a table of this name: of its cells, in its order."""
    caption: str
    columns: str
    """Keys of columns in order; those with "?" are shown only where rows differ in them."""
    csv: str = ""
    """Keys of what is published, or all columns; "key=name" gives it another name there."""
    group: str | None = None
    """The column that says which rows compete with one another; else all do."""
    crowns: bool = True
    """Whether the best stand out: not where rows are single trainings, told apart by luck too."""
    sort: Sequence[str] = ()
    """Columns by which rows are ordered: numbers by size, words by their first appearance."""
    real_rows: int = 0
    """How many first rows are of real digits: to compare with, not to win."""
    note: Callable[[Results], str] = lambda results: ""
    anchors: bool = False
    """Whether each row is where a link to its cell leads."""

    @cached_property
    def published(self) -> dict[str, str]:
        """The frame's columns that are published, with the names they have there."""
        parted = (key.partition("=") for key in (self.csv or self.columns).split())
        return {key: name or key for key, _, name in parted}

    def build(self, results: Results, frame: pd.DataFrame, columns: Mapping[str, Column]) -> Table:
        """The table of these results; a column that `columns` lacks has its key as its title."""
        if self.name in TABLE_TITLES:
            names = [cell.name for cell in results.chosen(self.name)]
            frame = frame.set_index("cell", drop=False).loc[names].reset_index(drop=True)
        frame = frame.sort_values(list(self.sort), key=_ranks, kind="stable", na_position="first")
        keys = [key.rstrip("?") for key in self.columns.split() if _is_shown(frame, key)]
        shown = [columns.get(key) or Column(key, key.replace("_", " ")) for key in keys]
        return Table(self, frame, shown, self.note(results))


def _ranks(values: pd.Series) -> pd.Series:
    """Numbers as they are; words by their first appearance."""
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map(list(values.unique()).index)


def _is_shown(frame: pd.DataFrame, key: str) -> bool:
    """Whether rows differ in what is shown only then, or a cell departs from all others."""
    if not key.endswith("?"):
        return True
    values = frame[key[:-1]]
    departs = key == "departures?" and bool(values.astype(bool).any())
    return departs or values.nunique() > 1
