"""DVC killed, alone or with its stage, and two at once: a plain rerun ends as if nothing was."""

import signal
from pathlib import Path

import pytest
from clones import Clone

pytestmark = pytest.mark.faults
DEATHS = {
    "DVC alone, killed": (signal.SIGKILL, False),
    "DVC alone, terminated": (signal.SIGTERM, False),
    "all, killed": (signal.SIGKILL, True),
    "all, terminated": (signal.SIGTERM, True),
    "all, by Ctrl-C": (signal.SIGINT, True),
}
STAGES = {
    "train": ("train@cosine-class", 12, "models/cosine-class"),
    "distill": ("distill@few-steps", 12, "models/few-steps"),
    "sample": ("sample@cosine-class", 1, "data/samples/cosine-class"),
}
"""What is killed, after how many states are kept, and what it publishes."""


@pytest.fixture
def unfinished(stage: str, judged: Clone, trained: Clone, tmp_path: Path) -> Clone:
    """A repository in which all is up to date but the stage, and DVC's cache lacks it, too."""
    return (judged if stage == "train" else trained).copy(tmp_path / "repository")


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on(death: str, stage: str, unfinished: Clone, ran: Clone) -> None:
    address, states, folder = STAGES[stage]
    number, group = DEATHS[death]
    running = unfinished.start("dvc", "repro", address, pause=f"{address} {states}")
    running.send(number, group=group)
    again = unfinished.call("dvc", "repro", address)
    assert running.stage_has_ended()
    assert again.returncode == 0, again.stdout
    assert f"resuming {address} a" in again.stdout
    assert unfinished.contents(folder) == ran.contents(folder)


def test_a_killed_pipeline_ends_as_one_that_was_not(
    judged: Clone, ran: Clone, tmp_path: Path
) -> None:
    """In each stage behind a student's cell; the judgement of what comes out is the same."""
    clone = judged.copy(tmp_path / "repository")
    for pause in ("train@cosine-class 12", "distill@few-steps 12", "sample@few-2 1"):
        running = clone.start("dvc", "repro", "evaluate@few-2", pause=pause)
        running.send(signal.SIGKILL, group=False)
        assert running.stage_has_ended()
        (clone.folder / ".work/paused").unlink()
    clone.run("dvc", "repro", "evaluate@few-2")
    places = ("models/cosine-class", "models/few-steps", "data/samples/few-2")
    judgement = "reports/metrics/few-2.json"
    assert clone.contents(*places, judgement) == ran.contents(*places, judgement)


@pytest.mark.parametrize("stage", STAGES)
def test_two_at_once_on_one_stage(stage: str, unfinished: Clone, ran: Clone) -> None:
    address, states, folder = STAGES[stage]
    running = unfinished.start("dvc", "repro", address, pause=f"{address} {states}")
    second = unfinished.call("dvc", "repro", address)
    direct = unfinished.call("mnist-diffusion", *address.split("@"))
    code, output = running.go_on()
    assert second.returncode != 0 and "Traceback" not in second.stdout
    assert len(second.stdout.strip().splitlines()) <= 12, second.stdout
    (line,) = direct.stdout.splitlines()
    assert line.startswith(f"error: {address}: is being written by another process (pid ")
    assert code == 0, output
    assert unfinished.contents(folder) == ran.contents(folder)
    assert "Running stage" not in unfinished.run("dvc", "repro", address)


def test_two_at_once_on_two_stages(judged: Clone, ran: Clone, tmp_path: Path) -> None:
    clone = judged.copy(tmp_path / "repository")
    running = clone.start("dvc", "repro", "train@cosine-class", pause="train@cosine-class 12")
    second = clone.call("dvc", "repro", "train@linear-uncond")
    code, output = running.go_on()
    assert "Traceback" not in second.stdout + output
    for done, text in ((second.returncode, second.stdout), (code, output)):
        assert done == 0 or len(text.strip().splitlines()) <= 12, text
    again = clone.run("dvc", "repro", "train@cosine-class", "train@linear-uncond")
    assert second.returncode or code or "Running stage" not in again
    for folder in ("models/cosine-class", "models/linear-uncond"):
        assert clone.contents(folder) == ran.contents(folder)
