"""Settings that are wrong, and names that a shell or a path would obey"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from clones import Clone
from smoke_scale import smoke_text

pytestmark = pytest.mark.faults
SMOKE = smoke_text()
CELL = "guidance: 2.0, run: cosine-class}"
RUN = next(line for line in SMOKE.splitlines() if line.startswith("  cosine-class: "))
Change = tuple[str, str, str]
"""What stands once in the file, what stands there instead, and what the refusal must say."""

CHANGES: dict[str, Change] = {
    "unknown key": ("micro_batch:", "micro_bach:", "did you mean 'micro_batch'"),
    "unknown section": ("\nsample:", "\nsamples:", "did you mean 'sample'"),
    "typo in a cell": ("guidance: 0.0, run", "guidence: 0.0, run", "'guidance'"),
    "typo in a word": ("sampler: ddim", "sampler: dimm", "did you mean 'ddim'"),
    "a run that is not there": ("run: source-uncond", "run: sauce-uncond", "'source-uncond'"),
    "a word for a number": ("steps: 30", "steps: many", "recipes.fast.steps"),
    "a number in quotes": ("count: 60", "count: '60'", "sample.count"),
    "a fraction for a count": ("count: 60", "count: 60.0", "sample.count"),
    "true for a number": ("epochs: 1", "epochs: true", "classifier.epochs"),
    "1 for true": ("unit_mean: true", "unit_mean: 1", "unit_mean"),
    "NaN": ("weight_decay: 0.05", "weight_decay: .nan", "weight_decay"),
    "infinity": ("weight_decay: 0.05", "weight_decay: .inf", "weight_decay"),
    "no images": ("count: 60", "count: 0", "sample.count"),
    "fewer than no images": ("count: 60", "count: -60", "sample.count"),
    "fewer images than digits": ("count: 60", "count: 9", "sample.count"),
    "more images than the floor has": ("count: 60", "count: 1001", "sample.count"),
    "more digits than there are": ("train: 4000", "train: 60000", "prepare.train"),
    "a dropout of everything": ("label_dropout: 0.1", "label_dropout: 1.0", "label_dropout"),
    "no parts": ("parts: 2  ", "parts: 0  ", "train.recipes.fast.parts"),
    "unequal parts": ("parts: 2  ", "parts: 3  ", "train.recipes.fast.parts"),
    "a device of fancy": ("device: auto", "device: tpu", "compute.device"),
    "guidance NaN": (CELL, CELL.replace("2.0", ".nan"), "2.guid"),
    "guidance below 0": (CELL, CELL.replace("2.0", "-2.0"), "gu"),
    "guidance infinite": (CELL, CELL.replace("2.0", ".inf"), ""),
    "guidance beyond all": (CELL, CELL.replace("2.0", "1.0e+300"), ""),
    "an interval upside down": ("interval: [0.2, 2.0]", "interval: [2.0, 0.2]", "interval"),
    "a key twice": ("\nscale: smoke", "\nscale: smoke\nscale: smoke", "scale stands here twice"),
    "a run twice": (RUN, f"{RUN}\n{RUN}", "cosine-class stands here twice"),
    "a section twice": ("\nreport:", "\nreport: {}\n\nreport:", "report stands here twice"),
    "no value": ("  seed: 0\n\njudges", "  seed:\n\njudges", "seed: got None"),
    "a list for a section": ("\ncompute:", "\ncompute: []\ncomp:", "comp"),
    "a tab": ("\n  train: 4000", "\n\ttrain: 4000", "line "),
    "an object of Python's": ("scale: smoke", "scale: !!python/object/apply:os.getcwd []", "YAML"),
}
FILES = {
    "empty": b"",
    "a comment": b"# nothing\n",
    "binary": bytes(range(256)),
    "deep": b"[" * 5000,
}
NAMES = {
    "up": "../x",
    "root": "/etc/x",
    "semicolon": "a;touch canary",
    "dollar": "$(touch canary)",
    "backtick": "`touch canary`",
    "pipe": "a|touch canary",
    "and": "a&&touch canary",
    "quote": "a';touch canary;'",
    "line end": "a\ntouch canary",
    "option": "-x",
    "long": "x" * 300,
    "case": "Cosine-Class",
    "empty": "",
    "dot": ".",
    "space": "a b",
    "not ASCII": "é",
}
COMMANDS = [  # that need all settings: audit, show, diff and ui show what there is in any case
    ["prepare"],
    ["classifier"],
    ["reference"],
    ["train", "cosine-class"],
    ["sample", "cosine-class"],
    ["evaluate", "cosine-class"],
    ["report"],
    ["track", "--sync"],
    ["prune", "--yes"],
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").write_text(SMOKE)
    return folder


def refuse(project: Path, command: Callable, content: str | bytes, *words: str) -> str:
    """The line that a command refuses the settings with; it leaves nothing behind."""
    raw = content.encode() if isinstance(content, str) else content
    (project / "params.yaml").write_bytes(raw)
    line = command(project, *(words or ("check",))).error()
    assert [path.name for path in project.iterdir()] == ["params.yaml"]
    assert (project / "params.yaml").read_bytes() == raw
    assert line.startswith("error: params.yaml: ")
    return str(line)


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_setting_is_refused(change: str, project: Path, command) -> None:
    right, wrong, words = CHANGES[change]
    assert right in SMOKE
    assert words in refuse(project, command, SMOKE.replace(right, wrong, 1))


@pytest.mark.parametrize("content", FILES)
def test_a_file_without_settings_is_refused(content: str, project: Path, command) -> None:
    refuse(project, command, FILES[content])


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_wrong_settings(words: list[str], project: Path, command) -> None:
    assert "'guidance'" in refuse(project, command, SMOKE.replace("guidance:", "guidence:"), *words)


@pytest.mark.parametrize("section", ["runs", "cells"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused_as_a_key(name: str, section: str, project: Path, command) -> None:
    text = with_name(NAMES[name], section)
    assert "is not a name" in refuse(project, command, text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused_as_an_argument(name: str, project: Path, command) -> None:
    (project / "params.yaml").write_text(SMOKE)
    word = ("train", "sample", "evaluate")[len(name) % 3]
    assert "is not in params.yaml; known: " in command(project, word, "--", NAMES[name]).error()
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("section", ["runs", "cells"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_run_by_dvc(name: str, section: str, named: Clone) -> None:
    """Not by a shell either: DVC puts a name into a command line as it is."""
    (named.folder / "params.yaml").write_text(with_name(NAMES[name], section))
    before = named.tree()
    done = named.call("dvc", "repro")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert not list(named.folder.rglob("canary*"))
    assert named.tree() == before


@pytest.fixture(scope="module")
def named(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return ran.copy(tmp_path_factory.mktemp("named") / "repository")


def with_name(name: str, section: str) -> str:
    """The settings with another run or cell, like cosine-class but for its name."""
    key = re.sub(r"[^ -~]", lambda match: f"\\u{ord(match[0]):04x}", name.replace('"', '\\"'))
    entry = re.search(rf"(?s)\n{section}:.*?\n  cosine-class: +(\{{[^\n]*\}})", SMOKE)
    assert entry
    return SMOKE.replace(f"\n{section}:\n", f'\n{section}:\n  "{key}": {entry[1]}\n', 1)
