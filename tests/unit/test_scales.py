"""Scales: each is valid and complete, and putting one into params.yaml loses nothing."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import loads_yaml

from mnist_diffusion.files.yamlfile import parse_yaml, read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings
from mnist_diffusion.settings.scales import ENTRIES, apply_scale, scale_names, scaled

REPOSITORY = Path(__file__).parents[2]
SCALES = sorted((REPOSITORY / "scales").glob("*.yaml"))
NAMES = [path.stem for path in SCALES]
BASE = (REPOSITORY / "params.yaml").read_text()
PARAMS = Path("params.yaml")
NOTHING = object()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout of params.yaml and the scales, as the current folder."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "scales", tmp_path / "scales")
    monkeypatch.chdir(tmp_path)
    _git("init", "--quiet")
    _git("add", ".")
    _git("commit", "--quiet", "-m", "t")
    return tmp_path


def _git(*arguments: str) -> None:
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *author, *arguments], check=True)


def _refusal(name: str, force: bool = False) -> str:
    before = PARAMS.read_bytes()
    with pytest.raises(UserError) as refusal:
        apply_scale(name, force)
    assert PARAMS.read_bytes() == before
    assert list(Path().glob(".params.yaml*")) == []
    assert str(refusal.value).isprintable()
    return str(refusal.value)


def _merged(name: str) -> dict[str, Any]:
    scale = Path(f"scales/{name}.yaml")
    return parse_yaml(scaled(BASE, (REPOSITORY / scale).read_text(), str(scale)), str(scale))


def _leaves(section: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(section, dict):
        yield path, section
        return
    for key, value in section.items():
        yield from _leaves(value, *path, key)


def _at(section: Any, path: Sequence[str]) -> Any:
    for key in path:
        section = section.get(key, NOTHING) if isinstance(section, dict) else NOTHING
    return section


def _differences(name: str) -> list[tuple[tuple[str, ...], Any]]:
    content = read_yaml(REPOSITORY / f"scales/{name}.yaml")
    return list(_leaves({key: value for key, value in content.items() if key != "keep"}))


RECIPES = {"long": "fast", "seconds": "fast", "half": "fast", "source-short": "source"}
"""What a recipe starts from."""


@pytest.mark.parametrize("name", NAMES)
def test_a_scale_says_only_what_differs(name: str) -> None:
    """What it repeated would stay behind when params.yaml moves on."""
    base = read_yaml(REPOSITORY / "params.yaml")
    for path, value in _differences(name):
        start = base
        if path[0] in ENTRIES and path[1] not in base[path[0]]:
            start = {path[0]: {path[1]: base["defaults"][ENTRIES[path[0]]]}}
        assert _at(start, path) != value, path
        assert value is not None or _at(base, path) is not NOTHING, path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_scale_says_holds_and_all_else_stays(name: str) -> None:
    base, merged = read_yaml(REPOSITORY / "params.yaml"), _merged(name)
    differences = dict(_differences(name))
    for path, value in differences.items():
        assert _at(merged, path) == (NOTHING if value is None else value), path
    kept = read_yaml(REPOSITORY / f"scales/{name}.yaml").get("keep", {})
    for section, names in kept.items():
        assert set(merged[section]) == {*names, *(p[1] for p in differences if p[0] == section)}
    for path, value in _leaves(merged):
        inherited = path[0] in ENTRIES and ("defaults", ENTRIES[path[0]], path[-1]) in differences
        parent = RECIPES.get(path[2] if path[:2] == ("train", "recipes") else "", "")
        inherited |= ("train", "recipes", parent, path[-1]) in differences
        if path not in differences and not inherited:
            default = ("defaults", ENTRIES.get(path[0], ""), path[-1])
            assert value == (
                _at(base, path) if _at(base, path) is not NOTHING else _at(base, default)
            )


def test_dvc_reads_what_is_read_here() -> None:
    """Anchors and all, by its own parser, and for its updates by `dvc exp run -S`."""
    for text in (BASE, *(scaled(BASE, path.read_text(), path.stem) for path in SCALES)):
        here = parse_yaml(text, "params.yaml")
        assert loads_yaml(text) == here
        assert json.loads(json.dumps(loads_yaml(text, typ="rt"))) == here


@pytest.mark.usefixtures("checkout")
def test_one_value_set_by_dvc_is_one_value_set() -> None:
    """`dvc exp run -S` writes every anchor out; what the file amounts to is the same but for it."""
    wanted = read_yaml(PARAMS)
    wanted["cells"]["long"]["steps"] = 10
    apply_overrides(PARAMS, ["cells.long.steps=10"])
    assert read_yaml(PARAMS) == wanted
    assert load_settings(PARAMS).cell("long").steps == 10


def test_an_entry_changes_what_it_starts_from() -> None:
    """No anchor is written out: one choice changed at a time can be seen."""
    entries = re.findall(r"^  [a-z0-9-]+: +\{(.*)\}$", BASE, re.MULTILINE)
    defaults = read_yaml(REPOSITORY / "params.yaml")["defaults"]
    assert len(entries) > 50
    for entry in entries:
        start, *changed = entry.split(", ")
        if start.startswith("<<: *"):
            told = {**defaults[start.removeprefix("<<: *")]}
            for pair in changed:
                key, _, value = pair.partition(": ")
                assert str(told.get(key)) != value, entry


def test_smoke_covers_every_sampler_and_guidance() -> None:
    cells = _merged("smoke")["cells"].values()
    assert {cell["sampler"] for cell in cells} == {
        *("ddpm", "ddim", "dpm-solver-2", "consistency"),
    }
    assert any(cell["guidance"] > 1 for cell in cells)


@pytest.mark.parametrize("name", NAMES)
def test_apply_writes_it_and_nothing_else(checkout: Path, name: str) -> None:
    apply_scale(name, force=False)
    assert read_yaml(PARAMS) == _merged(name)
    assert load_settings(PARAMS).scale == name
    assert sorted(path.name for path in checkout.iterdir()) == [".git", "params.yaml", "scales"]


def test_layout_and_comments_are_kept() -> None:
    scale = "# scale\n\nscale: tiny\nprepare: {train: 100}\n"
    before, after = (
        [re.sub(" +", " ", line) for line in text.splitlines()]
        for text in (BASE, scaled(BASE, scale, "tiny"))
    )
    assert after[:3] == ["# scale", "", "scale: tiny"]
    header = before.index("scale: laptop")
    changed = [pair for pair in zip(before[header:], after[2:], strict=True) if pair[0] != pair[1]]
    assert changed == [("scale: laptop", "scale: tiny"), (" train: 55000", " train: 100")]


def test_entries_are_added_changed_and_taken_out() -> None:
    scale = """
scale: tiny
keep: {cells: [long-g1p5]}
defaults: {cell: {steps: 7}}
runs: {quick: {seed: 3}}
cells: {quick: {run: quick}, headline: {steps: 9, count: null}}
tables: {TABLES}
tstr: {cells: [quick]}
effects: {training: {cells: [quick]}, grid: {cells: [quick]}, spaces: {cells: [quick]}}
adherence: {cells: []}
seams: {cells: []}
"""
    table = "{cells: [quick], baselines: [quick]}"
    names = ("schedules", "samplers", "guidance", "ablations", "choices", "spaces", "students")
    tables = ", ".join(f"{name}: {table}" for name in names)
    made = parse_yaml(scaled(BASE, scale.replace("TABLES", tables), "tiny"), "tiny")
    base = parse_yaml(BASE, "params.yaml")
    assert made["runs"] == {**base["runs"], "quick": {**base["defaults"]["run"], "seed": 3}}
    quick = {**base["defaults"]["cell"], "run": "quick", "steps": 7}
    changed = {**base["cells"]["headline"], "steps": 9}
    del changed["count"]
    kept = {**base["cells"]["long-g1p5"], "steps": 7}
    assert made["cells"] == {
        "long-g1p5": kept,
        "quick": quick,
        "headline": changed,
    }


@pytest.mark.usefixtures("checkout")
def test_from_one_scale_to_another_is_from_the_committed_one() -> None:
    apply_scale("smoke", force=False)
    assert "git restore" in _refusal("gpu")
    apply_scale("gpu", force=True)
    assert read_yaml(PARAMS) == _merged("gpu")


@pytest.mark.usefixtures("checkout")
def test_a_scale_on_top_of_another_is_refused() -> None:
    apply_scale("smoke", force=False)
    _git("commit", "--quiet", "--all", "-m", "smoke")
    assert _refusal("gpu") == "params.yaml: holds another scale already; bring laptop back"


@pytest.mark.usefixtures("checkout")
def test_edits_are_kept_unless_forced() -> None:
    PARAMS.write_text(PARAMS.read_text() + "# mine\n")
    line = _refusal("smoke")
    assert line == (
        "params.yaml: is not as committed, and would be lost; "
        "git restore params.yaml, or pass --force"
    )
    apply_scale("smoke", force=True)
    assert load_settings(PARAMS).scale == "smoke"


@pytest.mark.usefixtures("checkout")
def test_outside_git_nothing_is_lost() -> None:
    shutil.rmtree(".git")
    assert "or pass --force" in _refusal("smoke")


@pytest.mark.usefixtures("checkout")
def test_unknown_scales_are_refused() -> None:
    assert scale_names() == [path.stem for path in SCALES]
    assert _refusal("smok") == "scale 'smok': there is none; did you mean 'smoke'?"
    assert _refusal("../params").startswith("scale '../params': there is none; known: ")
    assert _refusal("laptop").endswith("git restore params.yaml")


@pytest.mark.usefixtures("checkout")
def test_an_invalid_scale_is_refused_before_anything_is_written() -> None:
    Path("scales/bad.yaml").write_text("scale: bad\nprepare: {train: 0}\n")
    assert _refusal("bad").startswith("scales/bad.yaml: prepare.train: got 0; ")
