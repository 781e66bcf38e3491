"""The page stands on its own, can be read without eyes, and is the same on every run."""

import base64
import io
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import fake_evidence
import fake_results
import pytest
from PIL import Image

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.reporting.charts import dvc_page
from mnist_diffusion.reporting.labels import TABLE_TITLES
from mnist_diffusion.reporting.pages import PAGE, README, gallery, publish, render
from mnist_diffusion.reporting.results import Results

SETTINGS = fake_results.small_settings()
REPOSITORY = Path(__file__).parents[2]
PIPELINE = read_yaml(REPOSITORY / "dvc.yaml")
MOST_PAGE_BYTES = 1_200_000
MOST_FIGURE_BYTES = 150_000
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


class Elements(HTMLParser):
    """All start tags with their attributes."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def of(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.fixture(scope="module")
def files(results: Results) -> dict[Path, bytes]:
    return render(results)


@pytest.fixture(scope="module")
def page(files: dict[Path, bytes]) -> str:
    return files[PAGE].decode()


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def test_the_page_asks_nobody_for_anything(page: str, elements: Elements) -> None:
    assert not elements.of("iframe", "object")
    assert all("src" not in script for script in elements.of("script"))
    policy = [one["content"] for one in elements.of("meta") if "http-equiv" in one]
    assert policy == [POLICY]
    for tag, attributes in elements.found:
        for name in ("src", "srcset"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    assert [link["href"] for link in elements.of("link")] == ["data:,"]
    told = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|@import|url\((?!data:)", told)


def test_the_script_unfolds_to_the_library_and_to_our_lines(page: str) -> None:
    packed = re.findall(r'<script type="text/plain" id="packed">(.*?)</script>', page)
    script = zlib.decompress(base64.b64decode(packed[0])).decode()
    assert "dataset.spec" in script and "vega" in script
    assert len(packed[0]) < len(script) / 2
    specs, _ = json.JSONDecoder().raw_decode(script.removeprefix("const specs = "))
    places = re.findall(r'<div id="chart-([^"]+)" data-spec="([^"]+)"></div>', page)
    assert len(places) == page.count("data-spec=") > 15
    assert {spec for _, spec in places} == {name for name, _ in places} <= set(specs)
    assert "$schema" not in page


def test_every_picture_is_told_in_words(elements: Elements) -> None:
    images = elements.of("img")
    assert len(images) > len(SETTINGS.cells)
    assert all(len(image["alt"]) > 20 for image in images)
    assert all(image["width"] and image["height"] for image in images)


def test_tables_have_captions_and_headers(page: str, elements: Elements) -> None:
    tables = elements.of("table")
    assert len(tables) == page.count("<caption") == len(elements.of("caption"))
    assert {header["scope"] for header in elements.of("th")} == {"row", "col"}
    assert page.count("<h1") == 1


def test_every_anchor_leads_somewhere(elements: Elements) -> None:
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"].removeprefix("#") for a in elements.of("a")}
    named = {e["aria-labelledby"] for _, e in elements.found if "aria-labelledby" in e}
    assert links | named <= set(ids)
    assert {f"cell-{name}" for name in SETTINGS.cells} <= links


def test_what_a_reader_must_know_is_said(page: str) -> None:
    for words in (
        "comparable with an Inception FID",
        "none repeated under another seed",
        "looks better than it is",
        "n = 60",
        fake_results.JUDGE[:12],
        "real-vs-real baseline",
        "a baseline, not a bound",
        "Intervals are 95 %",
        "9.0 to 11.2 %",
        "Abacus 9, threads: 2",
        "DPM-Solver++(2M)",
        "prefers-color-scheme: dark",
        "@media print",
        "Network evaluations per image are counted while drawing.",
        "Each run differs from cosine-class-v in what is said to be changed.",
        "Each is one training: small differences settle nothing.",
        "The signal at the first step",
    ):
        assert words in page, words


def test_the_readme_links_to_what_there_is(files: dict[Path, bytes]) -> None:
    text = files[README].decode()
    pictures = re.findall(r"!\[[^]]{10,}\]\(([^)]+)\)", text)
    assert pictures[0] == "figures/forest.png" and text.index(pictures[0]) < text.index("\n## ")
    assert {paths.REPORTS / picture for picture in pictures} <= set(files)
    folders = {path for file in files for path in file.parents} | {paths.REPORTS / "metrics"}
    for link in set(re.findall(r"(?<!!)\[[^]]+\]\(([^)#]+)", text)):
        assert paths.REPORTS / link in {*files, *folders} or link.endswith(".json"), link
    assert len(text.splitlines()) <= 200 - 2 * len(SETTINGS.claims)  # as many at laptop scale
    assert all(f"**{outcome}**" in text for outcome in fake_evidence.OUTCOMES.values())
    assert "{{" not in text and "\n\n\n" not in text


def test_the_readme_has_the_samplers_and_guidance_as_tables(files: dict[Path, bytes]) -> None:
    text = files[README].decode()
    for name in ("samplers", "guidance"):
        rows = re.findall(
            r"^\|.*\|$", text.split(f"## {TABLE_TITLES[name]}")[1].split("##")[0], re.MULTILINE
        )
        cells = getattr(SETTINGS.tables, name).cells
        assert len(rows) == 2 + len(cells)
        assert len({row.count("|") for row in rows}) == 1
        assert {row.split("|")[1].strip() for row in rows[2:]} == set(cells)
    assert "| **" in text


def test_files_are_small_and_carry_no_dates(files: dict[Path, bytes]) -> None:
    assert len(files[PAGE]) < MOST_PAGE_BYTES
    pictures = {path: content for path, content in files.items() if path.parent == paths.FIGURES}
    assert paths.FIGURES / "hero.png" in pictures
    for path, content in pictures.items():
        assert len(content) < MOST_FIGURE_BYTES, path
        information = Image.open(io.BytesIO(content)).info
        assert not {"Software", "Creation Time", "date"} & set(information), path


def test_the_same_results_give_the_same_bytes(files: dict[Path, bytes], results: Results) -> None:
    again = render(results)
    assert {path for path in files | again if files.get(path) != again.get(path)} == set()


def test_figures_of_former_cells_go_and_other_files_stay(
    files: dict[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.FIGURES.mkdir(parents=True)
    former, note = paths.FIGURES / "samples-former.png", paths.FIGURES / "note.txt"
    former.touch()
    note.touch()
    publish(files)
    assert not former.exists()
    assert note.exists()
    assert sorted(p for p in paths.REPORTS.rglob("*") if p.is_file()) == sorted([*files, note])


def test_a_pipeline_without_labels_has_a_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    kept = ("linear-uncond", "linear-class")  # the latter trains a classifier
    content["cells"] = {name: content["cells"][name] for name in kept}
    content["tables"] = fake_results.tables(**{name: ["linear-uncond"] for name in TABLE_TITLES})
    content["report"] = {"headline": "linear-uncond"}
    results = fake_results.load(tmp_path, monkeypatch, content)
    assert "real-vs-real baseline" in render(results)[PAGE].decode()


def test_samplers_go_by_their_names(page: str, files: dict[Path, bytes]) -> None:
    for text in (page, files[README].decode()):
        assert "dpm-solver" not in text


def test_the_source_is_answered_before_the_tables(page: str) -> None:
    order = re.findall(r'<section id="([^"]+)"', page)
    assert order[:4] == ["choices-that-matter", "short", "claims", "schedules"]
    linked = re.findall(r'href="#([^"]+)"', page[page.index("<nav") : page.index("</nav>")])
    assert linked == [one for one in order if one in linked]
    assert {"claims", "provenance"} <= set(linked)


def test_the_headline_stands_beside_real_digits_of_its_size(
    page: str, files: dict[Path, bytes]
) -> None:
    """Large enough to see faults: each pixel is four by four."""
    large = Image.open(io.BytesIO(files[paths.FIGURES / "beside.png"])).convert("L")
    (shown,) = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="3 rows of drawn', page)
    small = Image.open(io.BytesIO(base64.b64decode(shown))).convert("L")
    assert large.width > 10 * 4 * 28
    assert large.size == (4 * small.width, 4 * small.height)
    assert large.resize(small.size, Image.Resampling.NEAREST).tobytes() == small.tobytes()
    assert "](figures/beside.png)" in files[README].decode()


def test_the_gallery_shows_each_cell_once_and_opens_one_shelf(
    page: str, elements: Elements
) -> None:
    gallery = page[page.index('id="gallery"') : page.index('id="calibration"')]
    shown = re.findall(r'<figcaption><a href="#cell-([^"]+)"', gallery)
    assert sorted(shown) == sorted(SETTINGS.cells)
    assert gallery.count("<details") > 1
    assert gallery.count("<details open") == 1


def test_cells_of_no_comparison_have_a_shelf_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fake_results.small_content()
    content["tables"]["choices"]["cells"] = ["cosine-class-v-dpm10"]
    shelves = gallery(fake_results.load(tmp_path, monkeypatch, content))
    assert shelves["Others"] == ["cosine-class-v-dpm10-leading"]


def test_every_plot_of_dvc_is_of_a_column_there_is(files: dict[Path, bytes]) -> None:
    plots = [plot for entry in PIPELINE["plots"] for plot in entry.values()]
    assert len(plots) == 3
    for plot in plots:
        for axis in ("x", "y"):
            for path, column in plot[axis].items():
                assert column in files[Path(path)].decode().splitlines()[0].split(",")


def test_a_cell_is_a_row_of_metrics_for_dvc(files: dict[Path, bytes], results: Results) -> None:
    (folder,) = map(Path, PIPELINE["metrics"])
    found = {path.stem: json.loads(files[path]) for path in files if path.parent == folder}
    assert set(found) == set(results.cells)
    share = results.headline.score("fd_infinity")
    headline = found[results.headline.name]
    assert headline["fd_infinity_percent"] == pytest.approx(100 * share, abs=0.006)
    assert headline["n"] == 60
    assert "accuracy_percent" not in found["linear-uncond"]


def test_the_page_of_dvc_plots_has_its_library_inside() -> None:
    """Made anew by mnist_diffusion.reporting.charts.dvc_page()."""
    committed = (REPOSITORY / ".dvc/plots/offline.html").read_text(encoding="utf-8")
    assert committed == dvc_page()
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=.https?:", committed)
    assert committed.count("{plot_divs}") == 1
    assert "html_template = plots/offline.html" in (REPOSITORY / ".dvc/config").read_text()
