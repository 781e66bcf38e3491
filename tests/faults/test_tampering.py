"""A whole smoke-scale repository, made by DVC: every tampering is named, and nothing else is."""

import json
from pathlib import Path

import pytest
from clones import Clone
from tamperings import CELL, FEW, TAMPERINGS, copy_of, edit_yaml, put, set_key

from mnist_diffusion.audit.output import Severity

pytestmark = pytest.mark.faults


def declared(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "reports/metrics").glob("*.json")}


@pytest.fixture(scope="module")
def whole(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nobody else asks DVC at the same time."""
    return ran.copy(tmp_path_factory.mktemp("whole") / "repository")


def test_no_cell_raises_a_false_alarm(whole: Clone) -> None:
    told = json.loads(whole.run("mnist-diffusion", "audit", "--all", "--json"))
    verdicts = {cell: audited["verdict"] for cell, audited in told["cells"].items()}
    assert verdicts == dict.fromkeys(declared(whole.folder), "proven")
    assert told["verdict"] == "proven"


def test_images_of_every_cell_are_drawn_again_bit_for_bit(whole: Clone) -> None:
    output = whole.run("mnist-diffusion", "audit", "--all", "--json", "--regenerate", "7")
    for cell, audited in json.loads(output)["cells"].items():
        (drawn,) = (f for f in audited["findings"] if f["check"] == "redrawn")
        assert (drawn["severity"], cell in drawn["item"]) == (Severity.NOTE, True)
        assert drawn["text"].startswith("drawn again, bit for bit the same: images ")


def test_a_whole_set_and_its_scores_are_made_again(whole: Clone) -> None:
    output = whole.run("mnist-diffusion", "audit", CELL, "--json", "--deep")
    shown = output[output.index("{") :]  # after the progress of the stages that run again
    findings = json.loads(shown)["cells"][CELL]["findings"]
    deep = [f["severity"] for f in findings if f["check"] == "deep"]
    assert deep == [Severity.NOTE, Severity.NOTE]


def test_nothing_is_written_by_an_audit(whole: Clone) -> None:
    def seen() -> dict[str, int]:
        left_out = (".git", ".dvc/tmp", "mlflow.db", ".work", "__pycache__")
        return {
            str(path): path.stat().st_mtime_ns
            for path in whole.folder.rglob("*")
            if not any(part in str(path.relative_to(whole.folder)) for part in left_out)
        }

    before = seen()
    whole.run("mnist-diffusion", "audit", "--all", "--regenerate", "2")
    assert seen() == before


def test_a_parameter_changed_and_changed_back_is_proven(ran: Clone, tmp_path: Path) -> None:
    """DVC brings the set back from its cache, beside the sidecar of the run between."""
    clone, sample = ran.copy(tmp_path / "repository"), ("dvc", "repro", "-s", f"sample@{CELL}")
    params = clone.folder / "params.yaml"
    whole = params.read_bytes()
    edit_yaml(params, set_key(f"cells/{CELL}/steps", 2))
    clone.run(*sample)
    put(params, whole)
    assert "is cached - skipping run" in clone.run(*sample)
    told = json.loads(clone.run("mnist-diffusion", "audit", CELL, "--json"))
    assert told["verdict"] == "proven"
    assert any("took this one from its cache" in f["text"] for f in told["cells"][CELL]["findings"])


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampering_is_named(ran: Clone, command, tmp_path: Path, name: str) -> None:
    folder = copy_of(ran.folder, tmp_path / "repository")
    tamper, item = TAMPERINGS[name]
    tamper(folder)
    outcome = command(folder, "audit", CELL, FEW, "--json")
    assert outcome.code == 1, outcome.output
    told = json.loads(outcome.output)
    findings = [f for one in (*told["cells"].values(), told["report"]) for f in one["findings"]]
    failures = [f["item"] for f in findings if f["severity"] == Severity.FAILED]
    assert any(item in failure for failure in failures), failures
