"""Scales: each is valid and complete, and putting one into params.yaml loses nothing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings, parse_settings
from mnist_diffusion.settings.scales import apply_scale, overlaid, scale_names

REPOSITORY = Path(__file__).parents[2]
SCALES = sorted((REPOSITORY / "scales").glob("*.yaml"))
PARAMS = Path("params.yaml")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout of params.yaml and the scales, as the current folder."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "scales", tmp_path / "scales")
    monkeypatch.chdir(tmp_path)
    _git("init", "--quiet")
    _git("add", ".")
    author = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    _git(*author, "commit", "--quiet", "-m", "t")
    return tmp_path


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def _refusal(name: str, force: bool = False) -> str:
    before = PARAMS.read_bytes()
    with pytest.raises(UserError) as refusal:
        apply_scale(name, force)
    assert PARAMS.read_bytes() == before
    assert list(Path().glob(".params.yaml*")) == []
    assert str(refusal.value).isprintable()
    return str(refusal.value)


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_a_scale_is_valid(path: Path) -> None:
    """Schema and scales cannot drift apart."""
    merged = {**read_yaml(REPOSITORY / "params.yaml"), **read_yaml(path)}
    assert parse_settings(merged, str(path)).scale == path.stem


def test_scales_replace_the_same_sections() -> None:
    """Or going from one straight to another would leave a section of the first behind."""
    assert len(SCALES) > 1
    assert len({frozenset(read_yaml(path)) for path in SCALES}) == 1


def test_smoke_covers_every_sampler_and_guidance() -> None:
    cells = read_yaml(REPOSITORY / "scales/smoke.yaml")["cells"].values()
    assert {cell["sampler"] for cell in cells} == {"ddpm", "ddim", "dpm-solver-2"}
    assert any(cell["guidance"] > 1 for cell in cells)


@pytest.mark.parametrize("name", [path.stem for path in SCALES])
def test_apply_replaces_whole_sections(checkout: Path, name: str) -> None:
    wanted = {**read_yaml(PARAMS), **read_yaml(Path(f"scales/{name}.yaml"))}
    apply_scale(name, force=False)
    assert read_yaml(PARAMS) == wanted
    assert load_settings(PARAMS).scale == name
    assert sorted(path.name for path in checkout.iterdir()) == [".git", "params.yaml", "scales"]


def test_layout_and_comments_are_kept() -> None:
    base = "# base\n\nkept:   {a: 1}  # why\n\n# old reason\nold:\n  # inner\n  b: 2\n\nlast: 3\n"
    scale = "# scale\n\n# new reason\nold:\n  b:   4  # new\n"
    assert overlaid(base, scale) == (
        "# scale\n\nkept:   {a: 1}  # why\n\n# new reason\nold:\n  b:   4  # new\n\nlast: 3\n"
    )


@pytest.mark.usefixtures("checkout")
def test_applying_twice_is_applying_once() -> None:
    apply_scale("smoke", force=False)
    once = PARAMS.read_bytes()
    apply_scale("smoke", force=True)
    assert PARAMS.read_bytes() == once


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
