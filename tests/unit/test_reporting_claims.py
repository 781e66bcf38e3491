"""Claims on the page: every verdict with its figures, and counts that tell identities apart."""

import json
from collections.abc import Iterator
from pathlib import Path

import fake_evidence
import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.reporting.claims import (
    OUTCOMES,
    ShownClaim,
    aliased,
    effect_rows,
    resolution,
    shown_claims,
    tally,
)
from mnist_diffusion.reporting.pages import PAGE, README, render
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.runtime.errors import UserError

SETTINGS = fake_results.small_settings()
MOST_LINES = 200


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("claims")
    fake_results.build(root, SETTINGS)
    return root


@pytest.fixture
def here(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tree as the current folder; what a test changes in its reports is put back."""
    monkeypatch.chdir(tree)
    before = {p: p.read_text() for p in (tree / paths.REPORTS).rglob("*.json")}
    yield tree
    for path, text in before.items():
        path.write_text(text)


def shown() -> list[ShownClaim]:
    return [claim for own in shown_claims(load_results(SETTINGS)).values() for claim in own]


@pytest.mark.usefixtures("here")
def test_every_outcome_is_shown_and_counted() -> None:
    claims = shown()
    assert {claim.name: claim.outcome for claim in claims} == fake_evidence.OUTCOMES
    assert set(fake_evidence.OUTCOMES.values()) == set(OUTCOMES)
    assert len({sign for _, sign in OUTCOMES.values()}) == len(OUTCOMES)
    counted = tally(claims)
    assert counted["identity"] == "1 identity" and counted["holds"] == "1 holds"
    assert tally(claims * 2)["identity"] == "2 by construction"
    assert tally(claims * 2)["holds"] == "2 hold"


@pytest.mark.usefixtures("here")
def test_a_claim_tells_its_first_statement_and_how_many_others_agree() -> None:
    claims = {claim.name: claim for claim in shown()}
    assert claims["p2-improves"].reason == (
        "relative FD∞, v/p2 over v/epsilon: 0.64 (0.55 to 0.73), expected below 1: so. "
        "Of 1 more: 1 unresolved."
    )
    assert [datum.cell for datum in claims["p2-improves"].data] == [None, "linear-uncond"]
    assert claims["p2-improves"].data[1].value.startswith("+64.0 % (+55.0 % to +73.0 %)")
    assert claims["text"].reason == "No run is asked by a text."
    assert claims["typical-betas"].reason == "so it is."


@pytest.mark.usefixtures("here")
def test_claims_stand_under_the_headings_of_the_source() -> None:
    sections = shown_claims(load_results(SETTINGS))
    assert list(sections)[:2] == ["Forward diffusion", "Training loop"]
    names = [claim.name for claim in sections["Training loop"]]
    assert names == ["importance-sampling", "p2-improves"]


@pytest.mark.usefixtures("here")
def test_the_page_says_of_which_claims_the_chance_of_a_false_verdict_is() -> None:
    """Of a family of tested ones: not of the page, nor of one under which nothing was tested."""
    report = json.loads(paths.CLAIMS.read_text())
    report["claims"]["ddim-steps"]["family"] = "two"
    report["claims"]["text"]["family"] = "three"
    paths.CLAIMS.write_text(json.dumps(report))
    page = " ".join(render(load_results(SETTINGS))[PAGE].decode().split())
    assert "share a chance of 5 % of a false verdict (Holm), and each family has its own" in page
    assert "its own: one, two. Intervals" in page


@pytest.mark.usefixtures("here")
def test_a_verdict_without_a_sentence_is_refused() -> None:
    report = json.loads(paths.CLAIMS.read_text())
    report["claims"]["unheard-of"] = report["claims"]["text"]
    paths.CLAIMS.write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"claims.yaml: says nothing of claims.unheard-of; add"):
        shown_claims(load_results(SETTINGS))


@pytest.mark.usefixtures("here")
def test_effects_stand_beside_each_other_under_both_extractors() -> None:
    report = load_results(SETTINGS).judged.effects["training"]
    first, second = effect_rows(report)
    assert (first["level"], second["level"]) == ("linear", "quadratic")
    assert first["classifier"] == first["autoencoder"] == "×1.30 (1.18 to 1.43): worse"
    both = report.model_copy(
        update={"effects": [*report.effects, report.effects[0].model_copy(update={"base": "flow"})]}
    )
    assert resolution(report) == "an effect of 10 % or more is told from none."
    assert [row["base"] for row in effect_rows(both)] == ["cosine", "cosine", "flow"]
    assert aliased(report).endswith("by two fifths or more: a × b with schedule.")
    clear = report.model_copy(update={"aliases": []})
    assert aliased(clear).startswith("no interaction")


@pytest.mark.usefixtures("here")
def test_the_readme_begins_with_the_forest_and_stays_short() -> None:
    text = render(load_results(SETTINGS))[README].decode()
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES - 2 * len(SETTINGS.claims)  # as many claims at laptop scale
    pictures = [line for line in lines if line.startswith("![")]
    assert pictures[0].endswith("(figures/forest.png)")
    headings = [line for line in lines if line.startswith("## ")]
    assert lines.index(pictures[0]) < lines.index(headings[0])
    for claim in fake_evidence.OUTCOMES.values():
        assert f"**{claim}**" in text


@pytest.mark.parametrize(
    "path",
    [paths.COMPARISONS, paths.CALIBRATION, paths.CLAIMS, paths.TRAJECTORIES],
    ids=str,
)
def test_a_missing_or_broken_input_is_refused_in_one_line(here: Path, path: Path) -> None:
    text = path.read_text()
    path.unlink()
    try:
        with pytest.raises(UserError, match=rf"^{path}: not found; run `dvc repro` first$"):
            load_results(SETTINGS)
        path.write_text("{}")
        with pytest.raises(UserError, match=rf"^{path}: \S+: field required; delete it and run"):
            load_results(SETTINGS)
    finally:
        path.write_text(text)


def test_a_comparison_with_a_cell_of_the_past_is_refused(here: Path) -> None:
    found = json.loads(paths.COMPARISONS.read_text())
    found["comparisons"][0]["cell"] = "former"
    paths.COMPARISONS.write_text(json.dumps(found))
    with pytest.raises(UserError, match="compares former, which"):
        load_results(SETTINGS)
