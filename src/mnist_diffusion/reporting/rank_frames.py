"""The cells by several judges as frames: their ranks, and the pairs that judges order otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from mnist_diffusion.provenance.schemas.rank_report import RankDisagreement, RankedCell, RanksReport


def ranks_frame(report: RanksReport) -> pd.DataFrame:
    """Every cell in the order of the main judge, with what the others make of it."""
    main, *others = report.judges
    by_cell: dict[str, dict[str, RankedCell]] = {}
    for one in report.cells:
        by_cell.setdefault(one.cell, {})[one.judge] = one
    rows: list[dict[str, Any]] = [
        {
            "cell": cell,
            "rank": own[main].rank,
            "fd_infinity_percent": 100 * own[main].fd_infinity,
            "by_others": "; ".join(_words(own[judge]) for judge in others),
            "rank_range": max(x.rank for x in own.values()) - min(x.rank for x in own.values()),
        }
        for cell, own in by_cell.items()
    ]
    return pd.DataFrame(rows)


def disagreements_frame(report: RanksReport) -> pd.DataFrame:
    """Every two cells of which judges say the opposite, with both their differences, in points."""
    rows = [
        {
            "cell": one.cell,
            "other": one.other,
            "nearer_by": _said(one, lambda difference: difference < 0),
            "farther_by": _said(one, lambda difference: difference > 0),
        }
        for one in report.disagreements
    ]
    return pd.DataFrame(rows)


def _words(one: RankedCell) -> str:
    read = "" if one.accuracy is None else f", {100 * one.accuracy:.1f} % read right"
    return f"{one.judge}: {one.rank}, {100 * one.fd_infinity:.2f} %{read}"


def _said(one: RankDisagreement, of: Callable[[float], bool]) -> str:
    """The judges whose difference has this sign, each with its standard error."""
    return "; ".join(
        f"{judge} {100 * difference:+.2f} ± {100 * one.errors[judge]:.2f}"
        for judge, difference in one.differences.items()
        if of(difference)
    )
