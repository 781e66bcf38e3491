"""A cell's metrics: of which images, by which judge, and whether they add up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mnist_diffusion.audit.chain import Member, run_of
from mnist_diffusion.audit.evidence import Evidence
from mnist_diffusion.audit.findings import Findings, equal, failed
from mnist_diffusion.evaluation.metrics import LIKENESS
from mnist_diffusion.evaluation.reference import STATISTICS
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint

ROUNDING = 1e-6
"""Accuracies per class are of single precision."""


def check(evidence: Evidence, member: Member) -> Findings:
    """The metrics name what is here, and their numbers agree with one another."""
    cell, path = str(member.name), member.manifest
    report = evidence.json(path)
    said = _flat(report)
    for key, value in {**_named(evidence, cell), **_real(evidence, report)}.items():
        if not equal(said.get(key), value):
            yield failed(f"{path}: {key}", "not what the files say", value, said.get(key))
    for key, value, found in _sums(evidence, report):
        if not math.isclose(value, found, rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield failed(f"{path}: {key}", "does not follow from the other numbers", value, found)
    for key, ends in report["intervals"].items():
        value = said.get(key.replace("second_", "second."))
        if ends and value is not None and not _within(value, *ends):
            yield failed(f"{path}: intervals.{key}", "does not hold its score", value, ends)


def _within(value: float, low: float, high: float) -> bool:
    return low - ROUNDING <= value <= high + ROUNDING


def _flat(report: dict[str, Any]) -> dict[str, Any]:
    """With dotted keys for what is nested once."""
    nested = {k: v for k, v in report.items() if k in ("second", "floors", "pixels")}
    return {
        **report,
        **{f"{part}.{key}": v for part, inside in nested.items() for key, v in inside.items()},
    }


def _named(evidence: Evidence, cell: str) -> dict[str, Any]:
    sample = Member("sample", cell)
    parameters = evidence.json(sample.manifest)["parameters"]["cell"]
    return {
        "cell": cell,
        "run": run_of(evidence, cell),
        "n": parameters["count"],
        **{key: evidence.params["evaluate"][key] for key in ("resamples", "level")},
        "samples_sha256": evidence.content(sample.folder / "images.npy"),
        "classifier_sha256": evidence.content(paths.CLASSIFIER / checkpoint.WEIGHTS),
        "second.autoencoder_sha256": evidence.content(paths.AUTOENCODER / checkpoint.WEIGHTS),
        "reference_sha256": evidence.content(paths.REFERENCE / STATISTICS),
    }


def _real(evidence: Evidence, report: dict[str, Any]) -> dict[str, Any]:
    """What real digits score, which stands beside the scores; nothing for an n that is wrong."""
    reference = evidence.json(paths.REFERENCE_REPORT)
    floor = reference["floors"].get(str(report["n"]))
    if floor is None:
        return {}
    return {
        **{f"{key}_floor": floor[key]["mean"] for key in ("fd", "relative_fd")},
        **{f"second.{key}_floor": floor[f"second_{key}"]["mean"] for key in ("fd", "relative_fd")},
        **{f"floors.{key}": floor[key] for key in (*LIKENESS, "fd_per_class")},
        **{f"pixels.{key}_real": value for key, value in reference["pixels"].items()},
    }


def _sums(evidence: Evidence, report: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Numbers that follow from others: the key, what follows, and what stands there."""
    reference, second = evidence.json(paths.REFERENCE_REPORT), report["second"]
    yield "relative_fd", report["fd"] / reference["trace"], report["relative_fd"]
    relative = second["fd"] / reference["second"]["trace"]
    yield "second.relative_fd", relative, second["relative_fd"]
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
