"""The table in docs/reliability.md: what held, N of M, and what did not, by file and test.

Files that were run as a whole get their rows anew, the rows of others stay. Nothing in it is of one
day or one machine, so that a run with the same outcome leaves it as it is.
"""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs/reliability.md"
BEGIN, END = "<!-- made by `make test-faults` -->\n", "<!-- end -->\n"
HEAD = "| | held | not held |\n|---|---|---|\n"
FILE_ROW = re.compile(r"\| \*\*\[.*?\]\(\.\./(.*?)\)\*\* \| \*\*(\d+) of (\d+)\*\*")
SELECTING = ("keyword", "lf", "last_failed", "deselect", "stepwise", "maxfail")
"""Options with which less than a file is run."""


@dataclass
class Outcomes:
    """Which cases of a test held, and which did not."""

    held: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    points: int = 0
    """How many faults the cases tried, where one tries several."""

    def row(self, name: str) -> str:
        run = len(self.held) + len(self.failed)
        told = [*self.failed, *(f"not run: {case}" for case in self.left_out)]
        name += f", at {self.points} points" if self.points else ""
        return f"| {name} | {len(self.held)} of {run} | {'; '.join(map(_cell, told))} |\n"


class Table:
    """Notes the outcome of all tests of faults, and writes the table when they have ended."""

    def __init__(self, config: pytest.Config):
        whole = config.option.markexpr == "faults" and "::" not in "".join(config.args)
        self._whole = whole and not any(getattr(config.option, o, None) for o in SELECTING)
        self._tests: dict[str, dict[str, Outcomes]] = defaultdict(lambda: defaultdict(Outcomes))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "faults" not in report.keywords:
            return
        path, _, test = report.nodeid.partition("::")
        name, _, case = test.partition("[")
        outcomes = self._tests[path][name.removeprefix("test_").replace("_", " ")]
        case = case.removesuffix("]") or "it"
        if report.failed or hasattr(report, "wasxfail"):
            outcomes.held.discard(case)
            outcomes.failed += [case] * (case not in outcomes.failed)
        elif report.skipped:
            outcomes.left_out.append(case)
        elif report.when == "call":
            outcomes.held.add(case)
        if report.when == "call":
            outcomes.points += dict(report.user_properties).get("points", 0)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if self._whole and self._tests and ended:
            write(PAGE, {path: self._rows(path) for path in self._tests})

    def _rows(self, path: str) -> str:
        tests = self._tests[path]
        held = sum(len(outcomes.held) for outcomes in tests.values())
        run = held + sum(len(outcomes.failed) for outcomes in tests.values())
        head = f"| **[{_cell(title(REPOSITORY / path))}](../{path})** | **{held} of {run}** | |\n"
        return head + "".join(outcomes.row(name) for name, outcomes in tests.items())


def title(file: Path) -> str:
    """The first line of a file's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or file.stem
    return text.splitlines()[0].rstrip(".")


def write(page: Path, rows: dict[str, str]) -> None:
    """Put the rows of files into the page, in the place of their older ones."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    old, _, after = rest.partition(END)
    kept = {path: text for path, text in _by_file(old).items() if (REPOSITORY / path).exists()}
    table = "".join(text for _, text in sorted((kept | rows).items()))
    sums = [(int(found[2]), int(found[3])) for found in FILE_ROW.finditer(table)]
    total = f"| **all** | **{sum(s[0] for s in sums)} of {sum(s[1] for s in sums)}** | |\n"
    made = f"{before}{BEGIN}\n{HEAD}{table}{total}\n{END}{after}"
    page.write_text(made, encoding="utf-8")


def _by_file(table: str) -> dict[str, str]:
    found: dict[str, str] = {}
    path = None
    for line in table.splitlines(keepends=True):
        if start := FILE_ROW.match(line):
            path = start[1]
        elif line.startswith("| **all**"):
            path = None
        if path:
            found[path] = found.get(path, "") + line
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").strip()
