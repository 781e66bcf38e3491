"""A cell's metrics: of which images, by which judge, and whether they add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mnist_diffusion import paths
from mnist_diffusion.audit.chain import Member, run_of
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, equal, failed
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.stages.reference import STATISTICS

ROUNDING = 1e-6
"""Accuracies per class are of single precision."""


def check(evidence: Evidence, member: Member) -> Findings:
    """The metrics name what is here, and their numbers agree with one another."""
    cell, path = str(member.name), member.manifest
    report = evidence.json(path)
    for key, value in {**_named(evidence, cell), **_floor(evidence, report)}.items():
        if not equal(report.get(key), value):
            yield failed(f"{path}: {key}", "not what the files say", value, report.get(key))
    for key, value, found in _sums(evidence, report):
        if not math.isclose(value, found, rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield failed(f"{path}: {key}", "does not follow from the other numbers", value, found)


def _named(evidence: Evidence, cell: str) -> dict[str, Any]:
    sample = Member("sample", cell)
    parameters = evidence.json(sample.manifest)["parameters"]
    return {
        "cell": cell,
        "run": run_of(evidence, cell),
        "n": parameters["count"],
        "samples_sha256": evidence.content(sample.folder / "images.npy"),
        "classifier_sha256": evidence.content(paths.CLASSIFIER / checkpoint.WEIGHTS),
        "reference_sha256": evidence.content(paths.REFERENCE / STATISTICS),
    }


def _floor(evidence: Evidence, report: dict[str, Any]) -> dict[str, Any]:
    floors = evidence.json(paths.REFERENCE_REPORT)["floors"]
    floor = floors.get(str(report["n"]), {})
    return {f"{key}_floor": floor[key]["mean"] for key in ("fd", "relative_fd") if key in floor}


def _sums(evidence: Evidence, report: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Numbers that follow from others: the key, what follows, and what stands there."""
    trace = evidence.json(paths.REFERENCE_REPORT)["trace"]
    yield "relative_fd", report["fd"] / trace, report["relative_fd"]
    confusion = report["confusion"]
    if confusion is None:
        return
    right = [row[digit] for digit, row in enumerate(confusion)]
    yield "accuracy", sum(right) / report["n"], report["accuracy"]
    yield "confusion", report["n"], sum(map(sum, confusion))
    for digit, row in enumerate(confusion):
        share = right[digit] / sum(row) if sum(row) else 0.0
        yield f"accuracy_per_class.{digit}", share, report["accuracy_per_class"][str(digit)]
        seen = sum(other[digit] for other in confusion) / report["n"]
        yield f"predicted_per_class.{digit}", seen, report["predicted_per_class"][str(digit)]
