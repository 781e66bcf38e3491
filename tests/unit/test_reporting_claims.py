"""Claims on the page: every verdict with its figures, and counts that tell identities apart."""

import json

import fake_evidence
import fake_results
import pytest

from mnist_diffusion.files import paths
from mnist_diffusion.reporting.claims import (
    OUTCOMES,
    ShownClaim,
    aliased,
    effect_rows,
    figure,
    resolution,
    shown_claims,
    tally,
)
from mnist_diffusion.reporting.pages import PAGE, render
from mnist_diffusion.reporting.reading import load_results
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.runtime.errors import UserError

SETTINGS = fake_results.small_settings()


def shown(results: Results) -> dict[str, ShownClaim]:
    return {claim.name: claim for own in shown_claims(results).values() for claim in own}


def test_every_outcome_is_shown_and_counted(results: Results) -> None:
    outcomes = {name: claim.verdict.outcome for name, claim in shown(results).items()}
    assert outcomes == fake_evidence.OUTCOMES
    assert set(fake_evidence.OUTCOMES.values()) == set(OUTCOMES)
    assert len({sign for _, sign in OUTCOMES.values()}) == len(OUTCOMES)
    once, twice = (tally([*outcomes.values()] * n) for n in (1, 2))
    assert once["identity"] == "1 identity" and once["holds"] == "1 holds"
    assert twice["identity"] == "2 by construction" and twice["holds"] == "2 hold"


def test_a_claim_tells_its_first_statement_and_how_many_others_agree(results: Results) -> None:
    claims = shown(results)
    assert claims["p2-improves"].reason == (
        "relative FD∞, v/p2 over v/epsilon: 0.64 (0.55 to 0.73), expected below 1: so. "
        "Of 1 more: 1 unresolved."
    )
    _, second = claims["p2-improves"].verdict.statements
    assert figure(second).startswith("+64.0 % (+55.0 % to +73.0 %)")
    assert claims["text"].reason == "No run is asked by a text."
    assert claims["typical-betas"].reason == "so it is."


def test_claims_stand_under_the_headings_of_the_source(results: Results) -> None:
    sections = shown_claims(results)
    assert list(sections)[:2] == ["Forward diffusion", "Training loop"]
    names = [claim.name for claim in sections["Training loop"]]
    assert names == ["importance-sampling", "p2-improves"]


@pytest.mark.usefixtures("reported_copy")
def test_the_page_says_of_which_claims_the_chance_of_a_false_verdict_is() -> None:
    """Of a family of tested ones: not of the page, nor of one under which nothing was tested."""
    report = json.loads(paths.CLAIMS.read_text())
    report["claims"]["ddim-steps"]["family"] = "two"
    report["claims"]["text"]["family"] = "three"
    paths.CLAIMS.write_text(json.dumps(report))
    page = " ".join(render(load_results(SETTINGS))[PAGE].decode().split())
    assert "share a chance of 5 % of a false verdict (Holm), and each family has its own" in page
    assert "its own: one, two. Intervals" in page


@pytest.mark.usefixtures("reported_copy")
def test_a_verdict_without_a_sentence_is_refused() -> None:
    report = json.loads(paths.CLAIMS.read_text())
    report["claims"]["unheard-of"] = report["claims"]["text"]
    paths.CLAIMS.write_text(json.dumps(report))
    with pytest.raises(UserError, match=r"claims.yaml: says nothing of claims.unheard-of; add"):
        shown_claims(load_results(SETTINGS))


def test_effects_stand_beside_each_other_under_both_extractors(results: Results) -> None:
    report = results.judged.effects["training"]
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
