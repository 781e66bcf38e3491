"""The table of what held: rows of one file come anew, those of others stay"""

from pathlib import Path

import pytest
import table
from table import BEGIN, END, Outcomes, write

IDX, KILLS = "tests/faults/test_bad_idx.py", "tests/faults/test_kills.py"
ROW = "| a file is refused | 1 of 2 | cut \\| gone |\n"


def rows(path: str, held: int, run: int) -> str:
    return f"| **[Title, with [brackets]](../{path})** | **{held} of {run}** | |\n{ROW}"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}{END}after\n")
    return path


def test_a_run_of_one_file_leaves_the_rows_of_others(page) -> None:
    write(page, {KILLS: rows(KILLS, 3, 4), IDX: rows(IDX, 1, 2)})
    both = page.read_text()
    assert both.startswith("before\n") and both.endswith("after\n")
    assert both.index(IDX) < both.index(KILLS)
    assert "| **all** | **4 of 6** | |" in both
    write(page, {IDX: rows(IDX, 1, 2)})
    assert page.read_text() == both
    write(page, {IDX: rows(IDX, 2, 2)})
    assert "| **all** | **5 of 6** | |" in page.read_text()


def test_a_file_that_is_no_more_leaves_no_rows(page) -> None:
    write(page, {"tests/faults/test_gone.py": rows("tests/faults/test_gone.py", 1, 1)})
    write(page, {IDX: rows(IDX, 1, 2)})
    assert "gone.py" not in page.read_text()
    assert "| **all** | **1 of 2** | |" in page.read_text()


def test_a_row_names_what_did_not_hold() -> None:
    outcomes = Outcomes({"a", "b"}, ["c|d"], ["on a GPU"], 7)
    told = "| it, at 7 points | 2 of 3 | c\\|d; not run: on a GPU |\n"
    assert outcomes.row("it") == told


def test_a_file_is_titled_by_its_docstring() -> None:
    assert table.title(Path(__file__)).startswith("The table of what held: rows")


def test_the_page_in_the_repository_can_be_written() -> None:
    text = table.PAGE.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
