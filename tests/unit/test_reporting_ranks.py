"""The ranks of other judges as a reader sees them."""

from pathlib import Path

import fake_results
import pytest

from mnist_diffusion.reporting.table_list import all_tables


def test_ranks_and_disagreements_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = fake_results.load(tmp_path, monkeypatch, fake_results.small_content())
    tables = all_tables(results)
    ranks = tables["ranks"].frame
    assert list(ranks["rank"]) == list(range(1, len(results.cells) + 1))
    assert ranks["by_others"][0].startswith(f"seed-1: {len(ranks)}, ")
    assert ranks["rank_range"][0] == len(ranks) - 1
    (row,) = tables["disagreements"].frame.to_dict("records")
    by, against = sorted((row["nearer_by"], row["farther_by"]))
    assert by.startswith("classifier ") and against.startswith("seed-1 ")
    assert row["nearer_by"].partition(" ")[2][0] == "-"


def test_without_disagreements_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = fake_results.load(tmp_path, monkeypatch, fake_results.small_content())
    report = results.ranks.model_copy(update={"disagreements": []})
    changed = results.__class__(**{**vars(results), "ranks": report})
    assert "disagreements" not in all_tables(changed)
