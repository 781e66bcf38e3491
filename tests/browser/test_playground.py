"""The page that draws: what torch has drawn, drawn again by it, in node and in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import devtools
import drawn_site
import numpy as np
import pytest
import torch
from breaking import replaced
from drawn_site import CELLS as PLAIN
from drawn_site import RUNS

from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.reporting.playground import page
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.stages import playground

DRAWS = Path(__file__).with_name("redraw.mjs")
CELLS = {*PLAIN, "few"}
NOT_HERE = {"simple", "by-snapshot"}
"""Cells that the page cannot draw."""
SIDES = "[...document.querySelectorAll('.pair > section')]"
DRAWN = f"{SIDES}.every((one) => one.dataset.drawn === 'ten')"
READY = "typeof sides !== 'undefined' && sides.length === 2"
INK = "[...one('#side-{} .large').getContext('2d').getImageData(0, 0, 28, 28).data]"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        drawn_site.build(root)
        playground.run(drawn_site.settings())
    return root


@pytest.fixture
def here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tree)
    return tree


@pytest.fixture(scope="module")
def redrawn(tree: Path) -> dict[str, Any]:
    """What node draws of every cell."""
    if not (node := shutil.which("node")):
        pytest.skip("no node on this machine: apt install nodejs, and run again")
    done = subprocess.run([node, DRAWS, tree / page.PAGE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Page(devtools.Tab):
    """The page, looked at by its own names."""

    def text(self, selector: str) -> str:
        return str(self.ask(f"one('{selector}').textContent"))

    def names(self) -> list[str]:
        """What either side has drawn."""
        return [self.text(f"#side-{side} .name") for side in "ab"]

    def choose(self, what: str, value: str) -> None:
        """At the right side, as an input would, and wait for the ten digits."""
        control = f"one('#controls-b [name={what}]')"
        event = "change" if what == "published" else "input"
        self.ask(f"{control}.value = {value!r}")
        self.ask(f"{control}.dispatchEvent(new Event('{event}', {{ bubbles: true }}))")
        self.wait(DRAWN)


@pytest.fixture(scope="module")
def tab(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if not (command := chromium.find()):
        pytest.skip("no Chromium on this machine: apt install chromium, and run again")
    with devtools.browser(command, tmp_path_factory.mktemp("profile")) as pipes:
        opened = Page(*pipes)
        opened.open((tree / page.PAGE).as_uri())
        opened.wait(f"{READY} && {DRAWN}")
        yield opened


def test_every_cell_that_it_can_draw_is_in_it(redrawn: dict[str, Any]) -> None:
    assert set(redrawn) == CELLS - NOT_HERE


@pytest.mark.parametrize("cell", sorted(CELLS - NOT_HERE))
def test_it_draws_what_torch_drew(cell: str, redrawn: dict[str, Any]) -> None:
    found = redrawn[cell]
    assert found["pixels"] == page.IMAGES * 28 * 28
    assert found["most"] <= 1
    assert found["other"] <= found["pixels"] / 1000


def test_its_judge_sees_what_torch_sees(here: Path, redrawn: dict[str, Any]) -> None:
    judge, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
    images = np.load(paths.samples("cosine") / "images.npy")
    odds = judge(to_tensor(images))[1].softmax(dim=1)
    # it judges images before they are rounded to grey levels
    torch.testing.assert_close(torch.tensor(redrawn["cosine"]["odds"]), odds, atol=0.02, rtol=0)


def test_the_same_files_give_the_same_bytes(here: Path) -> None:
    assert page.render(drawn_site.settings()) == page.PAGE.read_bytes()


def test_a_run_is_in_it_that_brings_something_new(here: Path, monkeypatch) -> None:
    """And as many as there is room for."""
    told = facts(page.PAGE.read_text())
    assert list(told["runs"]) == sorted({*RUNS, "student"} - {"simple"})
    monkeypatch.setattr(page, "LARGEST", 5_000_000)
    fewer = page.render(drawn_site.settings()).decode()
    assert list(facts(fewer)["runs"]) == ["cosine", "linear"]
    assert "zero, latent, text, student would make it too large" in fewer
    monkeypatch.setattr(page, "LARGEST", 1)
    assert list(facts(page.render(drawn_site.settings()).decode())["runs"]) == ["cosine"]


def test_scores_of_other_images_are_refused(here: Path) -> None:
    path = paths.metrics("cosine")
    right = read_json(path)
    write_json(path, right | {"samples_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"metrics/cosine\.json: judges other images; run"):
        page.render(drawn_site.settings())
    write_json(path, right)


BROKEN = {
    "models/cosine/weights.safetensors": (b"PK", b""),
    "models/classifier/weights.safetensors": (b"PK",),
    "models/cosine/betas.npy": (b"PK", b""),
    "models/cosine/config.json": (b"{", b"{}", b"[]", b'{"run": {}, "network": {}}'),
    "models/latent/codec/scale.json": (b"{",),
    "models/text/text/grammar.json": (b"{}", b"[]"),
    "models/text/text/config.json": (b"{}", b"[1]"),
    "data/samples/cosine/manifest.json": (b"{}", b"[]"),
    "data/samples/cosine/images.npy": (b"PK",),
    "reports/metrics/cosine.json": (b"{}", b"null"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_or_missing_file_is_refused_by_its_name(here: Path, name: str) -> None:
    """In one line, and the page that is there stays."""
    before = page.PAGE.read_bytes()
    for content in (*BROKEN[name], None):
        with replaced(here / name, content or b""):
            if content is None:
                (here / name).unlink()
            with pytest.raises(UserError) as refused:
                playground.run(drawn_site.settings())
            (here / name).touch()
        line = str(refused.value)
        assert line.startswith("/".join(name.split("/")[:2])) and "\n" not in line, (content, line)
    assert page.PAGE.read_bytes() == before


def facts(text: str) -> Any:
    (found,) = re.findall(r'id="facts">(.*?)</script>', text)
    return json.loads(found)


@pytest.mark.browser
class TestInABrowser:
    def test_it_proves_the_published_images(self, tab: Page) -> None:
        assert tab.names() == ["headline", "cosine"]
        assert tab.text("#side-a .chip") == "✓ equal within rounding"
        assert "10 of the images that headline published" in tab.text("#side-a .proof")
        other = "cosine was drawn from other noise, that of seed 0."
        assert tab.text("#side-b .proof") == other

    def test_it_draws(self, tab: Page) -> None:
        """Ink, where there was none; and what stands beside it."""
        one, other = (tab.ask(INK.format(side)) for side in "ab")
        assert len(set(one)) > 20
        assert one != other
        assert "relative FD∞" in tab.text("#side-a .score")
        assert "The judge sees a" in tab.text("#side-a .seen")

    def test_a_moment_shows_the_noise(self, tab: Page) -> None:
        tab.ask("one('#moment').focus()")
        tab.press("Home")
        tab.wait("one('#side-a .moment').textContent === 'step 0 of 6'")
        tab.press("End")
        tab.wait("one('#side-a .moment').textContent === 'step 6 of 6'")

    def test_a_keyboard_is_enough(self, tab: Page) -> None:
        """From the top to another published set, which is drawn from its own noise."""
        tab.ask("document.activeElement.blur(); scrollTo(0, 0)")
        for _ in range(60):
            tab.press("Tab")
            if tab.ask("document.activeElement.name") == "published":
                break
        tab.press("ArrowDown")
        tab.wait(f"one('#side-a .name').textContent !== 'headline' && {DRAWN}")
        assert f"images that {tab.names()[0]} published" in tab.text("#side-a .proof")

    def test_a_choice_that_nobody_has_published_is_called_so(self, tab: Page) -> None:
        tab.choose("guidance", "3.3")
        assert tab.names()[1] == "a choice of your own"
        assert "Nobody has published" in tab.text("#side-b .score")
        assert tab.text("#side-b .proof") == ""

    def test_a_prompt_is_drawn_and_its_strange_words_are_named(self, tab: Page) -> None:
        tab.choose("published", "text")
        assert tab.text("#side-b .chip") == "✓ equal within rounding"
        tab.choose("prompt", "a purple seven")
        assert "asked for “a purple seven”" in tab.text("#side-b .seen")
        assert tab.text("#controls-b .unknown").endswith(": purple.")
        assert "asked as they were" in tab.text("#side-b .proof")
        tab.choose("prompt", "a constructor seven")  # what every object of JavaScript has
        assert tab.text("#controls-b .unknown").endswith(": constructor.")
        assert "NaN" not in tab.text("#side-b .seen")

    def test_nothing_is_asked_of_a_network_and_nothing_complained_of(self, tab: Page) -> None:
        assert tab.console == []
        assert {url.partition(":")[0] for url in tab.requests} == {"file", "blob"}

    @pytest.mark.parametrize("width", [360, 1200])
    def test_nothing_sticks_out_and_all_is_labelled(self, tab: Page, width: int) -> None:
        tab.resize(width)
        tab.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert tab.ask("document.documentElement.scrollWidth") <= width
        beyond = f"getBoundingClientRect().right > {width} + 1"
        assert tab.ask(every("main *", f"one.{beyond}")) == []
        bare = "!one.ariaLabel && one.labels[0]?.control !== one"
        assert tab.ask(every("input, select", bare)) == []
        assert tab.ask(every("canvas", "!one.ariaLabel")) == []

    def test_an_image_that_was_changed_is_told(self, here: Path, tab: Page) -> None:
        """By two grey levels, in one pixel."""
        file = paths.samples("headline") / "images.npy"
        images = np.load(file)
        changed = images.copy()
        changed[4, 14, 14] = (int(changed[4, 14, 14]) + 2) % 250
        np.save(file, changed)
        bad = here / "bad.html"
        bad.write_bytes(page.render(drawn_site.settings()))
        np.save(file, images)
        tab.open(bad.as_uri())
        tab.wait(f"{READY} && {DRAWN}")
        assert tab.text("#side-a .chip") == "✗ not equal"
        assert "one is off by 2 grey levels" in tab.text("#side-a .proof")

    @pytest.mark.parametrize(
        ("part", "harmed"),
        [
            (b"crypto.subtle.digest", b"crypto.nothing.digest"),  # no such thing over plain HTTP
            (b'new DecompressionStream("deflate")', b'new DecompressionStream("unheard")'),
            (b"class Weights {", b"class Weights ("),
        ],
        ids=["in a draw", "in the page", "in the engine"],
    )
    def test_a_browser_that_cannot_draw_says_so(
        self, here: Path, tab: Page, part: bytes, harmed: bytes
    ) -> None:
        whole, bad = page.PAGE.read_bytes(), here / "bad.html"
        assert whole.count(part) == 1
        bad.write_bytes(whole.replace(part, harmed))
        tab.open(bad.as_uri())
        for side in "ab":
            score = f"document.querySelector('#side-{side} .score')"
            tab.wait(f"{score}?.textContent.startsWith('This browser cannot draw: ')")


def every(selector: str, which: str) -> str:
    """JavaScript: what these elements are called."""
    found = f"[...document.querySelectorAll('{selector}')].filter((one) => {which})"
    return f"{found}.map((one) => one.name || one.className)"
