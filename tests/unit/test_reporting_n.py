"""What moves with n is never ranked across n."""

from pathlib import Path

import fake_results
import pandas as pd
import pytest

from mnist_diffusion.reporting import choice_charts, frames, summary
from mnist_diffusion.reporting.tables import Column, Table


def test_real_digits_stand_beside_cells_of_as_many_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A headline of more images than the rest tells what real ones score at its own n alone."""
    results = fake_results.load(tmp_path, monkeypatch, fake_results.small_content())
    mine = results.headline
    real = {"mean": 0.0003, "low": 0.0002, "high": 0.0004}
    floors = mine.metrics.floors.model_copy(update={"fd_infinity": real, "kid": real})
    judged = mine.metrics.model_copy(update={"n": 2000, "floors": floors})
    results.cells[mine.name] = mine.__class__(**{**vars(mine), "metrics": judged})
    row, rest = frames.real_scores(results), next(iter(results.cells.values())).metrics
    assert row["n"] == rest.n == 60
    assert row["kid_text"] == frames.score_text("kid", 0.001, [0.001, 0.001])
    (band,) = (
        rows[0]
        for rows in choice_charts.cost(results).spec["datasets"].values()
        if "mean" in rows[0]
    )
    assert band["mean"] == pytest.approx(100 * rest.floors.fd_infinity.mean)
    fact = summary.facts(results)[0]
    assert "baseline 0.03" in fact.note and fact.note.endswith("2,000")


def test_bold_is_of_the_n_that_most_rows_have() -> None:
    frame = pd.DataFrame({"n": [500, 2000, 2000], "fd": [1.0, 3.0, 2.0]})
    for same_n, best in ((True, [False, False, True]), (False, [True, False, False])):
        column = Column("fd", "FD", "{:.1f}", "min", same_n=same_n)
        rows = Table("fd", "", frame, [column], {}).rows()
        assert [row[0].best for row in rows] == best
