"""Tables and pictures of codecs, of words and of halves."""

from dataclasses import replace
from pathlib import Path

import fake_results
import numpy as np
import pytest
from fake_evidence import filled

from mnist_diffusion.provenance.schemas.encoder_reports import (
    AdherenceReport,
    Following,
    Obedience,
    SeamsReport,
)
from mnist_diffusion.reporting.digit_pictures import codec_strip, prompt_grid
from mnist_diffusion.reporting.pages import render
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table_list import all_tables

CELL = "cosine-class-v"


def adherence(everything: float = 0.8) -> AdherenceReport:
    following = filled(Following, means={"1": 1.9, "2": 2.5, "3": 3.6})
    found = filled(
        AdherenceReport,
        **{"cell": CELL, "prompts": "grid", "samples_sha256": fake_results._digest(CELL)},
        all=filled(Obedience, n=60, everything=everything),
        **{"thickness": following, "slant": following},
        real={key: {"1": 1.8, "2": 2.6, "3": 3.5} for key in ("thickness", "slant")},
    )
    return AdherenceReport.model_validate(found)


def seams() -> SeamsReport:
    jumps = {"drawn": [0.2, 0.4, 0.2, 0.4], "real": [0.1, 0.3, 0.2, 0.2]}
    return SeamsReport.model_validate(filled(SeamsReport, cell=CELL, **jumps))


@pytest.fixture
def results(results: Results) -> Results:
    return replace(results, adherence={CELL: adherence()}, seams={CELL: seams()})


def shown(results: Results, table: str) -> dict[str, list[str]]:
    """Columns by title."""
    found = all_tables(results)[table]
    return {
        column.title: [row[place].text for row in found.rows()]
        for place, column in enumerate(found.columns)
    }


def test_codecs_stand_beside_the_digits_as_they_are(results: Results) -> None:
    found = shown(results, "fidelity")
    assert found["codec"] == ["none: pixels", *results.codecs]
    assert found["times cheaper"] == ["1.0", *["3.4"] * len(results.codecs)]
    assert found["relative FD∞, %"] == ["0.00", *["0.10"] * len(results.codecs)]
    assert found["PSNR, dB"][0] == "–"
    assert not any(value.best for value in all_tables(results)["fidelity"].rows()[0])


def test_shares_that_are_as_asked_stand_beside_what_real_digits_measure(results: Results) -> None:
    found = shown(results, "prompts")
    assert found["all, %"] == ["80.0 (69.9 to 90.1)"]
    assert found["all, never trained together, %"] == ["n/a"]
    assert found["thin, px (real)"] == ["1.9 (1.8)"]


def test_a_seam_is_set_against_the_real_edge(results: Results) -> None:
    found = shown(results, "seams")
    assert found["step across the edge, %"] == ["30.00"]
    assert found["larger by, %"] == ["+50.0"]
    assert found["± standard error"] == [f"{100 * (0.02 / 3) ** 0.5 / 2 / 0.2:.1f}"]


def test_without_words_and_halves_their_tables_are_left_out(results: Results) -> None:
    bare = replace(results, adherence={}, seams={})
    assert not {"prompts", "seams"} & {*all_tables(bare)}
    page = render(bare)[Path("reports/index.html")].decode()
    assert "Half of a digit" not in page
    assert "Half of a digit" in render(results)[Path("reports/index.html")].decode()


def test_a_strip_has_a_row_for_the_digits_and_for_each_codec(results: Results) -> None:
    picture = codec_strip(results)
    assert picture is not None
    assert picture.alt == f"Rows of the same digits: real; {'; '.join(results.codecs)}."


def test_a_grid_is_of_the_cell_that_obeys_most(results: Results) -> None:
    assert prompt_grid(results) is None  # 60 images are no grid of 90
    cell = results.cells[CELL]
    images = np.random.default_rng(0).integers(0, 256, (90, 28, 28), dtype=np.uint8)
    cells = {CELL: replace(cell, images=images), "other": replace(cell, images=images[::-1])}
    both = {CELL: adherence(0.4), "other": adherence(0.7)}
    picture = prompt_grid(replace(results, cells=cells, adherence=both))
    assert picture is not None
    assert picture.caption.startswith("Cell other:")
