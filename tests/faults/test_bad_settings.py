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
FEW = "guidance: 1.5, run: few-steps}"
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
    "a student of nobody": ("teacher: cosine-class", "teacher: nobody", "few-steps.teacher: there"),
    "a student of no label": ("teacher: cosine-class", "teacher: linear-uncond", "no U-Net that"),
    "a student of words": ("teacher: cosine-class", "teacher: words", "asked by label"),
    "more from noise than all": ("from_noise: 0.55", "from_noise: 1.5", "few-steps.from_noise"),
    "paths of one scale": ("trajectories: 90", "trajectories: 30", "draw 64 or more"),
    "a single point": ("points: 2 ", "points: 1 ", "few-steps.points"),
    "a scale that is not learned": (FEW, FEW.replace("1.5", "3.0"), "few-steps knows 1 to 2"),
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
ENTRIES = {"runs": "cosine-class", "students": "few-steps", "cells": "cosine-class"}
"""Sections of what DVC runs a stage for each of, and an entry to give another name."""
COMMANDS = [  # that need all settings: audit, show, diff and ui show what there is in any case
    ["prepare"],
    ["classifier"],
    ["reference"],
    ["train", "cosine-class"],
    ["distill", "few-steps"],
    ["sample", "cosine-class"],
    ["evaluate", "cosine-class"],
    ["report"],
    ["playground"],
    ["export", "out"],
    ["yardstick", "tstr"],
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


@pytest.mark.parametrize("section", ENTRIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused_as_a_key(name: str, section: str, project: Path, command) -> None:
    text = with_name(NAMES[name], section)
    assert "is not a name" in refuse(project, command, text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_refused_as_an_argument(name: str, project: Path, command) -> None:
    (project / "params.yaml").write_text(SMOKE)
    word = ("train", "sample", "evaluate", "distill")[len(name) % 4]
    assert "is not in params.yaml; known: " in command(project, word, "--", NAMES[name]).error()
    assert [path.name for path in project.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("section", ENTRIES)
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
    """The settings with another run, student or cell, like one that is there but for its name."""
    key = re.sub(r"[^ -~]", lambda match: f"\\u{ord(match[0]):04x}", name.replace('"', '\\"'))
    entry = re.search(
        rf"(?s)\n{section}:.*?\n  {ENTRIES[section]}:( +\{{[^\n]*\}}|(?:\n    [^\n]*)+)", SMOKE
    )
    assert entry
    return SMOKE.replace(f"\n{section}:\n", f'\n{section}:\n  "{key}":{entry[1]}\n', 1)


BAD_WORDS = {
    "a cell that is not there": (("tstr", "--cell", "cosine-clas"), "--cell: there is no"),
    "a cell that asks nothing": (
        ("tstr", "--cell", "linear-uncond"),
        "--cell: linear-uncond is not",
    ),
    "half a digit": (("tstr", "--cell", "inpaint"), "--cell: inpaint is not asked for whole"),
    "too many digits": (("tstr", "--count", "4001"), "--count: 4001 is not from 10 to 4000"),
    "too few digits": (("tstr", "--count", "9"), "--count: 9 is not from 10 to 4000"),
    "fewer than none": (("tstr", "--count", "-1"), "--count: -1 is not from 10 to 4000"),
    "nothing trained": (("tstr", "--count", "99"), "models/cosine-class/config.json: not found; "),
    "no rules": (("speedrun",), "docs/speedrun.yaml: not found; "),
}


@pytest.mark.parametrize("what", BAD_WORDS)
def test_what_a_yardstick_cannot_measure_is_refused(what: str, project: Path, command) -> None:
    words, told = BAD_WORDS[what]
    (project / "params.yaml").write_text(SMOKE)
    assert command(project, "yardstick", *words).error().startswith(f"error: {told}")
    assert [path.name for path in project.iterdir()] == ["params.yaml"]
