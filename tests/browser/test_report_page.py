"""The report in a real browser: it draws its charts, complains of nothing and asks nobody."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import chromium
import pytest

from mnist_diffusion.files import paths

pytestmark = pytest.mark.browser
FIRST_SCREEN = 600
"""Pixels of a small screen's height: beneath them stands what one must look for."""
REPOSITORY = Path(__file__).parents[2]

FRAME = """<!doctype html><title>measuring</title>
<iframe id="page" src="reports/index.html" width="{width}" height="900"></iframe>
<script>
const frame = document.getElementById("page");
const timer = setInterval(() => {{
  const page = frame.contentDocument;
  if (page.body?.dataset.charts !== "drawn") return;
  clearInterval(timer);
  page.querySelectorAll("details").forEach((one) => {{ one.open = true; }});
  const wide = [...page.querySelectorAll("main *")].filter((one) =>
    one.getBoundingClientRect().right > {width} + 1 && !one.closest(".scroll, .wide, svg"));
  const cut = [...page.querySelectorAll("[id^=chart-] svg text")].filter((one) =>
    one.getBoundingClientRect().right > one.closest("[id^=chart-]").getBoundingClientRect().right);
  document.body.dataset.cut = cut.map((one) => one.textContent).join(" ");
  document.body.dataset.first = page.querySelector("[id^=chart-]").getBoundingClientRect().top;
  document.body.dataset.width = page.documentElement.scrollWidth;
  document.body.dataset.wide = wide.map((one) => one.tagName + "." + one.className).join(" ");
}}, 100);
</script>
"""
POKE = """<!doctype html><title>poking</title>
<script>
function once(frame) {
  const page = frame.contentDocument;
  const timer = setInterval(() => {
    if (page.body.dataset.charts !== "drawn") return;
    clearInterval(timer);
    const film = page.querySelector(".film");
    const slider = film.querySelector("input");
    const screen = film.querySelector("[role=img]");
    const before = getComputedStyle(screen).backgroundPosition;
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    document.body.dataset.moved = before !== getComputedStyle(screen).backgroundPosition;
    document.body.dataset.told = film.querySelector("output").textContent;
    page.location.hash = "cell-linear-uncond";
    setTimeout(() => {
      const row = page.getElementById("cell-linear-uncond").getBoundingClientRect();
      document.body.dataset.shown = row.top >= 0 && row.bottom <= frame.height;
    }, 2000);
  }, 100);
}
</script>
<iframe src="reports/index.html" width="1000" height="900" onload="once(this)"></iframe>
"""


class Page(HTMLParser):
    """Ids and links of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")


def test_nothing_is_complained_of(opened: chromium.Visit) -> None:
    assert opened.console == []


def test_no_network_is_asked(opened: chromium.Visit) -> None:
    assert opened.requests == []


def test_a_request_would_be_seen(browser: str, site: Path, tmp_path: Path) -> None:
    """The two tests above can fail: a page that errs and asks is caught doing both."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://127.0.0.1:9/a.png'><script>console.error('oh')</script>")
    found = chromium.visit(browser, bad.as_uri(), tmp_path)
    assert found.requests == ["http://127.0.0.1:9/a.png"]
    assert any("oh" in line for line in found.console)


def test_every_chart_is_drawn(opened: chromium.Visit) -> None:
    places = re.findall(r'<div id="chart-[^>]*>', opened.dom)
    assert len(places) > 15
    assert all('data-drawn="yes"' in place for place in places)
    drawings = re.findall(r"<svg[^>]*marks.*?</svg>", opened.dom, re.DOTALL)
    assert len(drawings) == len(places)
    assert all(drawing.count("<path") > 3 for drawing in drawings)


def test_every_link_leads_somewhere(opened: chromium.Visit, site: Path) -> None:
    page = Page(opened.dom)
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (site / paths.REPORTS / link).exists(), link


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("which", ["fake", "committed"])
def test_nothing_sticks_out(
    browser: str, site: Path, tmp_path: Path, which: str, width: int
) -> None:
    """The committed report has what a fake one lacks: as many runs, with names as long."""
    folder = site
    if which == "committed":
        folder = tmp_path / "site"
        shutil.copytree(REPOSITORY / paths.REPORTS, folder / paths.REPORTS)
    (folder / f"frame-{width}.html").write_text(FRAME.format(width=width))
    with chromium.served(folder) as address:
        found = chromium.visit(browser, f"{address}/frame-{width}.html", tmp_path)
    assert 'data-wide=""' in found.dom, re.findall('data-wide="([^"]*)"', found.dom)
    assert 'data-cut=""' in found.dom, re.findall('data-cut="([^"]*)"', found.dom)
    assert int(re.findall(r'data-width="(\d+)"', found.dom)[0]) <= width


@pytest.mark.parametrize("width", [400, 1200])
def test_the_first_chart_is_within_the_first_screen(
    browser: str, site: Path, tmp_path: Path, width: int
) -> None:
    (site / f"first-{width}.html").write_text(FRAME.format(width=width))
    with chromium.served(site) as address:
        found = chromium.visit(browser, f"{address}/first-{width}.html", tmp_path)
    (first,) = re.findall(r'data-first="([\d.]+)"', found.dom)
    assert float(first) < FIRST_SCREEN


def test_the_film_moves_and_a_link_shows_its_row(browser: str, site: Path, tmp_path: Path) -> None:
    (site / "poke.html").write_text(POKE)
    with chromium.served(site) as address:
        found = chromium.visit(browser, f"{address}/poke.html", tmp_path)
    assert 'data-moved="true"' in found.dom
    assert 'data-told="step 0 of ' in found.dom
    assert 'data-shown="true"' in found.dom
