"""MLflow's view of a cell and its training. It is never the truth: it may lack a run, not lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, in_words, note
from mnist_diffusion.audit.plainfiles import regular
from mnist_diffusion.files import paths
from mnist_diffusion.tracking.agreement import Said, contradictions
from mnist_diffusion.tracking.entry import make_entry
from mnist_diffusion.tracking.lookup import Seen, latest, latest_training
from mnist_diffusion.tracking.record import text
from mnist_diffusion.tracking.records import SCORES, drawn, record_of

STORE = "MLflow"
SYNC = "run `mnist-diffusion track --sync`"
PARTS = ("second", "memorisation", "pixels")
"""What is nested in a judgement, and has its name before its keys in MLflow."""


class Tracked:
    """Looks runs up; a store that fails once is not asked again."""

    def __init__(self) -> None:
        self._trouble: str | None = None

    def check(self, evidence: Evidence, member: Member) -> Findings:
        """The cell's run has the params, metrics and digests that the files have."""
        cell = str(member.name)
        report = evidence.json(paths.metrics(cell))
        manifest = evidence.json(Member("sample", cell).manifest)
        seen = self._asked(partial(latest, cell, report["samples_sha256"]))
        yield from self._compared(seen, cell, "these images", _judged(report, manifest))

    def check_training(self, evidence: Evidence, member: Member) -> Findings:
        """The run's training has the params, digests and last losses that its folder has."""
        run = str(member.name)
        regular(member.folder / "history.csv")
        weights = evidence.json(member.manifest)["outputs"]["weights_sha256"]
        seen = self._asked(partial(latest_training, run, weights))
        yield from self._compared(seen, run, "these weights", _trained(run))

    def _compared(self, seen: Seen | None, name: str, what: str, due: Said) -> Findings:
        if self._trouble:
            yield note(STORE, f"cannot be asked: {self._trouble}")
        elif seen is None:
            yield note(STORE, f"has no finished run of {name} and {what}; {SYNC}")
        else:
            for kind, key, expected, found in contradictions(due, seen.said):
                item = f"{STORE}: run {seen.run[:8]}, {kind} {key}"
                yield failed(item, f"contradicts the files of {name}; {SYNC}", expected, found)

    def _asked(self, question: Callable[[], Seen | None]) -> Seen | None:
        if not self._trouble:
            try:
                return question()
            except Exception as error:
                self._trouble = in_words(error)
        return None


def _judged(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> Said:
    """What a cell's run has to say."""
    metrics = {**dict(_numbers(report)), "network_evaluations": manifest["network_evaluations"]}
    digests = {key: value for key, value in report.items() if key.endswith("_sha256")}
    return Said(
        {key: text(value) for key, value in drawn(manifest).items()},
        {key: float(value) for key, value in metrics.items() if value is not None},
        {**digests, **manifest["inputs"]},
    )


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """A judgement's numbers by the names that they have in MLflow."""
    yield "n", report["n"]
    yield from ((key, report[key]) for key in SCORES)
    for part in PARTS:
        numbers = ((k, v) for k, v in report[part].items() if not k.endswith("_sha256"))
        yield from ((f"{part}_{key}", value) for key, value in numbers)
    for metric, per_class in (("accuracy", "accuracy_per_class"), ("relative_fd", "fd_per_class")):
        yield from ((f"{metric}_{d}", value) for d, value in (report[per_class] or {}).items())
    for key, ends in report["intervals"].items():
        yield from zip((f"{key}_low", f"{key}_high"), ends or (None, None), strict=True)


def _trained(run: str) -> Said:
    """What a training's run has to say, whenever it was made."""
    record = record_of("train", run)
    return make_entry("train", run, record, scale=None, seconds=None, end_ms=0, commit={}).said
