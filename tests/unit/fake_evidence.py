"""What is judged beyond FD and accuracy, and the reports that tell of more than one cell."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.provenance.schemas.artifact import Sourced
from mnist_diffusion.provenance.schemas.cell_reports import (
    ComparisonsReport,
    CurvePoint,
    FdCurveReport,
    PairedComparison,
    Pixels,
    SecondNetwork,
    TstrReport,
)
from mnist_diffusion.provenance.schemas.claim_reports import (
    ClaimsReport,
    ClaimVerdict,
    EffectsReport,
    MainEffect,
    Statement,
    TrajectoriesReport,
)
from mnist_diffusion.provenance.schemas.encoder_reports import (
    ClipReport,
    DigitsJudged,
    FidelityReport,
)
from mnist_diffusion.provenance.schemas.judge_reports import CalibrationReport
from mnist_diffusion.provenance.schemas.rank_report import RanksReport
from mnist_diffusion.settings import Settings

LIKENESS = {
    **{"kid": 0.001, "energy": 0.001, "precision": 0.9, "recall": 0.92, "density": 1.0},
    "coverage": 0.95,
}
INFINITIES = ("fd_infinity", "second_fd_infinity")
AUTOENCODER = "e" * 64
JUDGE = hashlib.sha256(b"judge").hexdigest()
SOURCED = {
    "made_from": {},
    "code": {"sha256": "c" * 64, "files": {}, "lockfile_sha256": None},
    "environment": {"device": "cpu", "cpu": "Abacus 9", "gpu": "none"},
}
"""What all say of their making."""
HALF = 0.0005
"""Of every interval."""
METRICS = ("fd_infinity", "second_fd_infinity", "kid", "recall")
CORRUPTIONS = ("blur", "dropped-class")


def filled(shape: type[BaseModel], **known: Any) -> dict[str, Any]:
    """An artifact as JSON: what is known of it, and of all else anything that is allowed."""
    known = (SOURCED if issubclass(shape, Sourced) else {}) | known
    kinds = {field.alias or name: field.annotation for name, field in shape.model_fields.items()}
    return {name: _any(kind) for name, kind in kinds.items() if name not in known} | known


def _any(kind: Any) -> Any:
    """Something of a type: null where that will do, no items where there can be some."""
    options = get_args(kind)
    if get_origin(kind) is Annotated:
        return _any(options[0])
    if kind is None or type(None) in options:
        return None
    if get_origin(kind) is Literal:
        return options[0]
    if get_origin(kind) is tuple:
        return [_any(one) for one in options]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return filled(kind)
    return {str: "d" * 64, int: 60, float: 0.5, bool: False, list: [], dict: {}}[
        get_origin(kind) or kind
    ]


def around(value: float, half: float = HALF) -> list[float]:
    """An interval."""
    return [value - half, value + half]


def likeness() -> dict[str, Any]:
    """What real digits score."""
    found: dict[str, Any] = {k: {"mean": v, "low": v, "high": v} for k, v in LIKENESS.items()}
    found |= {name: {"mean": 0.001, "low": 0.0008, "high": 0.0012} for name in INFINITIES}
    return found | {"class_fd": None, "fd_per_class": {str(d): None for d in range(10)}}


def metrics(relative: float, accuracy: float | None, guidance: float) -> dict[str, Any]:
    """The scores of reports/metrics/<cell>.json; the stronger the guidance, the fuller."""
    values = {
        "kid": 2 * relative,
        "energy": 3 * relative,
        "precision": 0.9,
        "recall": 0.9 - 0.05 * max(guidance - 1, 0),
        "density": 1.1,
        "coverage": 0.9,
        "relative_fd": relative,
        "fd_infinity": relative,
        "class_fd": None if accuracy is None else 8 * relative,
        "accuracy": accuracy,
        "confidence": 0.97,
    }
    twins = {f"second_{name}": relative for name in ("relative_fd", "fd_infinity")}
    found = {k: None if v is None else around(v) for k, v in (values | twins).items()}
    full = 0.04 * max(guidance - 1, 0)
    second = {"relative_fd": relative, "fd_infinity": relative, "relative_fd_floor": 0.001}
    return values | {
        **{"fd": 50 * relative, "fd_floor": 0.05, "relative_fd_floor": 0.001},
        "fd_per_class": None if accuracy is None else {str(d): 2 * relative for d in range(10)},
        "second": filled(SecondNetwork, autoencoder_sha256=AUTOENCODER, **second),
        "pixels": filled(Pixels, saturated=0.35 + full, mass=101 + 100 * full),
        "floors": likeness(),
        "level": 0.95,
        "errors": dict.fromkeys(INFINITIES, HALF / 1.96),
        "intervals": found,
        "extremes": {"best": list(range(20)), "worst": list(range(20, 40))},
    }


def write(root: Path, settings: Settings) -> None:
    """Comparisons, TSTR, FD curves and calibration of everything declared."""
    compared = {"level": 0.95, "comparisons": _compared(root, settings)}
    write_json(root / paths.COMPARISONS, filled(ComparisonsReport, **compared))
    for name in settings.tstr.cells:
        taught = {"cell": name, "run": settings.cells[name].run, "accuracy": 0.97}
        taught |= {"accuracies": [0.96, 0.98], "interval": [0.96, 0.98], "real_accuracy": 0.975}
        write_json(root / paths.tstr(name), filled(TstrReport, **taught))
    for name in settings.fd_curve.runs:
        write_json(root / paths.fd_curve(name), fd_curve(name))
    for name in settings.codecs:
        write_json(root / paths.fidelity(name), fidelity(name))
    write_json(root / paths.CLIP_REPORT, filled(ClipReport))
    write_json(root / paths.CLAIMS, claims(next(iter(settings.cells))))
    write_json(root / paths.TRAJECTORIES, filled(TrajectoriesReport))
    write_json(root / paths.CALIBRATION, _calibration())
    write_json(root / paths.RANKS, _ranks(root, settings))


def fidelity(codec: str) -> dict[str, Any]:
    """reports/fidelity/<codec>.json of a codec by way of which distances grow."""
    told = {"codec": codec, "classifier_sha256": JUDGE, "pixel_mflop": 44.9, "latent_mflop": 13.2}
    return filled(FidelityReport, **told, real=_digits_judged(0.0), back=_digits_judged(0.001))


def _digits_judged(more: float) -> dict[str, Any]:
    scores = {"fd_infinity": more, "second_fd_infinity": 3 * more, "accuracy": 0.996 - more}
    return filled(DigitsJudged, **scores, errors={"fd_infinity": 0.0001})


OUTCOMES = {
    "typical-betas": "identity",
    "p2-improves": "holds",
    "importance-sampling": "fails",
    "higher-order": "depends",
    "ddim-steps": "unresolved",
    "text": "not testable here",
}
"""A claim of each outcome."""


def effect(level: str, ratio: float, verdict: str) -> list[dict[str, Any]]:
    """Of a schedule, under both feature extractors."""
    told = {"factor": "schedule", "level": level, "base": "cosine", "verdict": verdict}
    told |= {"ratio": ratio, "interval": [ratio / 1.1, ratio * 1.1]}
    return [filled(MainEffect, **told, metric=metric) for metric in INFINITIES]


def claims(cell: str) -> dict[str, Any]:
    """reports/claims.json: two effects of training, and a claim of each outcome."""
    figures = {"estimate": 0.64, "interval": [0.55, 0.73], "bound": 1.0}
    ratio = filled(Statement, label="relative FD∞, v/p2 over v/epsilon", **figures)
    percent = {"form": "percent", "label": f"recall, {cell}", "cells": [cell]}
    statements = [ratio, ratio | percent | {"finding": "unresolved"}]
    apart = {
        "identity": {"facts": [{"words": "so it is", "true": True}]},
        "not testable here": {"why": "No run is asked by a text."},
    }
    verdicts = {
        name: filled(ClaimVerdict, outcome=outcome, family="one", why="")
        | apart.get(outcome, {"p": 0.001, "statements": statements})
        for name, outcome in OUTCOMES.items()
    }
    analysis = filled(
        EffectsReport,
        **{"trainings": 18, "df": 7, "spread": {"fd_infinity": 0.08, "second_fd_infinity": 0.06}},
        effects=effect("linear", 1.3, "worse") + effect("quadratic", 0.97, "equivalent"),
        aliases=[{"factor": "schedule", "interaction": ["a", "b"], "share": 0.7}],
    )
    return filled(ClaimsReport, level=0.95, effects={"training": analysis}, claims=verdicts)


def fd_curve(name: str) -> dict[str, Any]:
    """A run whose relative FD halves every 400 steps of 64 images."""
    points = [
        filled(CurvePoint, step=step, images=64 * step, relative_fd=2 ** (-step / 400))
        for step in range(400, 2801, 400)
    ]
    return filled(FdCurveReport, run=name, points=points, sampler="ddim", relative_fd_floor=0.001)


def _compared(root: Path, settings: Settings) -> list[dict[str, Any]]:
    rows = []
    for name, table in settings.tables:
        baseline = table.baselines[0]
        for cell in table.cells:
            for metric in ("fd_infinity", "second_fd_infinity", "class_fd", "accuracy"):
                values = [_value(root, c, metric) for c in (cell, baseline)]
                if cell != baseline and None not in values:
                    rows.append(_comparison(name, baseline, cell, metric, *values))
    return rows


def _value(root: Path, cell: str, metric: str) -> float | None:
    report = read_json(root / paths.metrics(cell))
    return report["second"]["fd_infinity"] if metric == "second_fd_infinity" else report[metric]


def _comparison(
    table: str, baseline: str, cell: str, metric: str, own: float, base: float
) -> dict[str, Any]:
    difference, distance = own - base, metric != "accuracy"
    verdict = "better" if (difference < 0) == distance else "worse"
    return filled(
        PairedComparison,
        **{"table": table, "baseline": baseline, "cell": cell, "metric": metric},
        difference=difference,
        interval=around(difference),
        ratio=[1 + end / base for end in around(difference)] if distance else None,
        verdict=verdict if abs(difference) > HALF else "unresolved",
    )


def _ranks(root: Path, settings: Settings) -> dict[str, Any]:
    """By the second judge in reverse; of the first two cells both are sure."""
    values = {cell: _value(root, cell, "fd_infinity") for cell in settings.cells}
    rows: list[dict[str, Any]] = []
    for judge, sign in (("classifier", 1), ("seed-1", -1)):
        order = sorted(values, key=lambda cell: sign * values[cell])
        rows += [
            {"cell": cell, "judge": judge, "fd_infinity": 1 + sign * values[cell], "error": HALF}
            | {"accuracy": 0.9, "rank": rank}
            for rank, cell in enumerate(order, start=1)
        ]
    one, other, *_ = values
    apart = values[one] - values[other]
    found = {"cell": one, "other": other, "errors": {"classifier": HALF, "seed-1": HALF}}
    found |= {"differences": {"classifier": apart, "seed-1": -apart}}
    judges = {"classifier": "d" * 64, "seed-1": "e" * 64}
    return filled(RanksReport, judges=judges, cells=rows, disagreements=[found])


def _calibration() -> dict[str, Any]:
    """All metrics see blur; of them only recall and KID see a missing digit, and FD must."""
    rungs, verdicts = [], []
    for corruption in CORRUPTIONS:
        for metric in METRICS:
            sees = corruption == "blur" or metric in ("kid", "recall")
            must = metric != "second_fd_infinity"
            verdicts.append({"corruption": corruption, "metric": metric, "sees": sees})
            verdicts[-1] |= {"must": must, "blind": must and not sees, "flattered": False}
            rungs += [
                {"corruption": corruption, "severity": s, "metric": metric}
                | {"value": 0.003, "relative_to_floor": 9.0 * s * sees}
                for s in (0.5, 1.0)
            ]
    against = [
        {"n": n, "metric": m, "mean": 1 / n, "low": 0.9 / n, "high": 1.1 / n}
        for m in METRICS
        for n in (50, 100, 200)
    ]
    told = {"against_n": against, "corruptions": rungs, "verdicts": verdicts}
    return filled(CalibrationReport, **told)
