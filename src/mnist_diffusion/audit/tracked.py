"""MLflow's view of a cell. It is never the truth: it may lack a run, but must not tell another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mnist_diffusion import paths
from mnist_diffusion.audit.chain import Member
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, failed, in_words, note
from mnist_diffusion.tracking.lookup import Seen, latest
from mnist_diffusion.tracking.record import legal_name, text

STORE = "MLflow"
SYNC = "run `mnist-diffusion track --sync`"


class Tracked:
    """Looks runs up; a store that fails once is not asked again."""

    def __init__(self) -> None:
        self._trouble: str | None = None

    def check(self, evidence: Evidence, member: Member) -> Findings:
        """The cell's run has the params, metrics and digests that the files have."""
        cell = str(member.name)
        report = evidence.json(paths.metrics(cell))
        seen = self._latest(cell, report["samples_sha256"])
        if self._trouble:
            yield note(STORE, f"cannot be asked: {self._trouble}")
        elif seen is None:
            yield note(STORE, f"has no finished run of {cell} and these images; {SYNC}")
        else:
            manifest = evidence.json(Member("sample", cell).manifest)
            for kind, name, expected, found in _contradictions(seen, report, manifest):
                item = f"{STORE}: run {seen.run[:8]}, {kind} {name}"
                yield failed(item, f"contradicts the files of {cell}", expected, found)

    def _latest(self, cell: str, images: str) -> Seen | None:
        if not self._trouble:
            try:
                return latest(cell, images)
            except Exception as error:
                self._trouble = in_words(error)
        return None


def _contradictions(
    seen: Seen, report: Mapping[str, Any], manifest: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    """Kind, name, the files' value and MLflow's, wherever both have one and they differ."""
    params = {legal_name(key): text(value) for key, value in _params(manifest).items()}
    metrics = {key: float(value) for key, value in _metrics(report, manifest).items()}
    tags = {key: value for key, value in report.items() if key.endswith("_sha256")}
    kinds: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("param", params, seen.params),
        ("metric", metrics, seen.metrics),
        ("tag", {**tags, **manifest["inputs"]}, seen.tags),
    ]
    for kind, here, there in kinds:
        for name in sorted(here.keys() & there.keys()):
            if here[name] != there[name]:
                yield kind, name, here[name], there[name]


def _params(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **manifest["parameters"],
        "network_evaluations": manifest["network_evaluations"],
        **{f"schedule_{key}": value for key, value in manifest["schedule"].items()},
    }


def _metrics(report: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of the report, and of its parts by the names that they have in MLflow."""
    digits = report["accuracy_per_class"] or {}
    numbers = {key: value for key, value in report.items() if isinstance(value, int | float)}
    return {
        **numbers,
        **{f"accuracy_{digit}": value for digit, value in digits.items()},
        "network_evaluations": manifest["network_evaluations"],
    }
