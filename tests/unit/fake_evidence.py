"""What is judged beyond FD and accuracy, and the reports that tell of more than one cell."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.settings import Settings

LIKENESS = {
    **{"kid": 0.001, "energy": 0.001, "precision": 0.9, "recall": 0.92, "density": 1.0},
    "coverage": 0.95,
}
INFINITIES = ("fd_infinity", "second_fd_infinity")
AUTOENCODER = "e" * 64
SOURCED = {
    "made_from": {},
    "code": {"sha256": "c" * 64, "files": {}, "lockfile_sha256": None},
    "environment": {"device": "cpu", "cpu": "Abacus 9", "gpu": "none"},
}
"""What every report says of its making."""
HALF = 0.0005
"""Of every interval."""
METRICS = ("fd_infinity", "second_fd_infinity", "kid", "recall")
CORRUPTIONS = ("blur", "dropped-class")


def around(value: float, half: float = HALF) -> list[float]:
    """An interval."""
    return [value - half, value + half]


def likeness() -> dict[str, Any]:
    """What real digits score."""
    found: dict[str, Any] = {k: {"mean": v, "low": v, "high": v} for k, v in LIKENESS.items()}
    found |= {name: {"mean": 0.001, "low": 0.0008, "high": 0.0012} for name in INFINITIES}
    return found | {"class_fd": None, "fd_per_class": {str(d): None for d in range(10)}}


def metrics(relative: float, accuracy: float | None, guidance: float) -> dict[str, Any]:
    """The newer keys of reports/metrics/<cell>.json; the stronger the guidance, the fuller."""
    values = {
        "kid": 2 * relative,
        "energy": 3 * relative,
        "precision": 0.9,
        "recall": 0.9 - 0.05 * max(guidance - 1, 0),
        "density": 1.1,
        "coverage": 0.9,
    }
    intervals = {key: around(value) for key, value in values.items()}
    copies = {"share": 0.91, "expected": 0.92, "p": 0.6}
    return values | {
        "fd_infinity": relative,
        "class_fd": None if accuracy is None else 8 * relative,
        "fd_per_class": None if accuracy is None else {str(d): 2 * relative for d in range(10)},
        "second": {"autoencoder_sha256": AUTOENCODER, "fd": 1.0, "fd_floor": 0.1}
        | {"relative_fd": relative, "fd_infinity": relative, "relative_fd_floor": 0.001},
        "memorisation": {"median_distance": 6.1, "median_distance_test": 6.4}
        | {"pixels": copies, "features": copies},
        "pixels": {
            "saturated": 0.35 + 0.04 * max(guidance - 1, 0),
            "saturated_real": 0.36,
            "stroke_gap": abs(0.04 * max(guidance - 1, 0) - 0.01),
            "background": 0.002,
            "background_real": 0.001,
            "mass": 101.0 + 4 * max(guidance - 1, 0),
            "mass_real": 103.0,
        },
        "floors": likeness(),
        "predicted_per_class": {str(d): 0.1 for d in range(10)},
        "compared": 60,
        "level": 0.95,
        "errors": dict.fromkeys(("fd_infinity", "second_fd_infinity"), HALF / 1.96),
        "intervals": intervals
        | {
            "relative_fd": around(relative),
            "second_relative_fd": around(relative),
            "fd_infinity": around(relative),
            "second_fd_infinity": around(relative),
            "class_fd": None if accuracy is None else around(8 * relative),
            "accuracy": None if accuracy is None else around(accuracy),
            "confidence": around(0.97),
        },
        "extremes": {"best": list(range(20)), "worst": list(range(20, 40))},
    }


def write(root: Path, settings: Settings) -> None:
    """Comparisons, TSTR, FD curves and calibration of everything declared."""
    compared = {"level": 0.95, "comparisons": _compared(root, settings)}
    digests = {f"{key}_sha256": "d" * 64 for key in ("classifier", "autoencoder", "reference")}
    write_json(root / paths.COMPARISONS, SOURCED | compared | {"left_out": []} | digests)
    per_class = {"accuracy_per_class": {str(d): 0.97 for d in range(10)}}
    tested = {"n_test": 100, "level": 0.95, "epochs": 8, "accuracies": [0.96, 0.98], **per_class}
    for name in settings.tstr.cells:
        trained = {"cell": name, "run": settings.cells[name].run, "n": 60, "accuracy": 0.97}
        real = {"interval": [0.96, 0.98], "real_accuracy": 0.975, "real_interval": [0.97, 0.98]}
        trained |= SOURCED | tested | real | {"samples_sha256": "d" * 64}
        write_json(root / paths.tstr(name), trained)
    for name in settings.fd_curve.runs:
        write_json(root / paths.fd_curve(name), fd_curve(name))
    for name in settings.codecs:
        write_json(root / paths.fidelity(name), fidelity(name))
    write_json(root / paths.CLIP_REPORT, clip())
    write_json(root / paths.CLAIMS, claims(next(iter(settings.cells))))
    write_json(root / paths.TRAJECTORIES, trajectories(settings.trajectories.run))
    write_json(root / paths.CALIBRATION, _calibration())
    write_json(root / paths.RANKS, _ranks(root, settings))


def fidelity(codec: str, loss: float = 0.001, judge: str | None = None) -> dict[str, Any]:
    """reports/fidelity/<codec>.json of a codec by way of which distances grow by so much."""

    def judged(more: float) -> dict[str, Any]:
        scores = {"relative_fd": 0.001 + more, "fd_infinity": more, "second_fd_infinity": 3 * more}
        scores |= {"accuracy": 0.996 - more, "saturated": 0.07 - 20 * more}
        scores |= {"mass": 100.0, "background": 0.001}
        return scores | {"errors": dict.fromkeys(scores, 0.0001)}

    share = {"n": 40, **dict.fromkeys(("digit", "thickness", "slant", "width", "everything"), 0.9)}
    kept = dict.fromkeys(("all", "held_out", "seen_corners"), share)
    cost = {"encoding_mflop": 5.5, "decoding_mflop": 8.6, "pixel_mflop": 44.9, "latent_mflop": 13.2}
    looks = {"thickness_bias": 0.05, "thickness_error": 0.06, "slant_error": 0.3}
    told = {"codec": codec, "n": 100, "values": 196, "error": 0.0047, "psnr": 29.3, "level": 0.95}
    return (
        SOURCED
        | told
        | cost
        | looks
        | {
            "high_frequencies": 0.48,
            "looks": kept,
            "real": judged(0.0),
            "back": judged(loss),
            "back_drawn": judged(1.1 * loss),
            "digits_sha256": "d" * 64,
            "codec_sha256": "d" * 64,
            "classifier_sha256": judge or hashlib.sha256(b"judge").hexdigest(),
            "autoencoder_sha256": AUTOENCODER,
        }
    )


def clip() -> dict[str, Any]:
    """reports/clip.json"""
    shares = {
        "digit_by_word": 0.98,
        "digit_by_numeral": 0.98,
        "auc": 0.99,
        "held_out_of_four": 0.99,
    }
    shares |= {"thickness_of_three": 0.85, "slant_of_three": 0.86}
    shares |= {"thickness_of_two": 1.0, "slant_of_two": 1.0}
    return shares | {"n": 100, "held_out": 5, "clip_sha256": "d" * 64}


OUTCOMES = {
    "typical-betas": "identity",
    "p2-improves": "holds",
    "importance-sampling": "fails",
    "higher-order": "depends",
    "ddim-steps": "unresolved",
    "text": "not testable here",
}
"""A claim of each outcome."""


def effect(factor: str, level: str, ratio: float, verdict: str) -> list[dict[str, Any]]:
    """Under both feature extractors."""
    told = {"of": "training", "factor": factor, "level": level, "base": "cosine", "trainings": 6}
    told |= {"ratio": ratio, "interval": [ratio / 1.1, ratio * 1.1], "p": 0.01, "p_adjusted": 0.02}
    told |= {"verdict": verdict}
    return [told | {"metric": metric} for metric in ("fd_infinity", "second_fd_infinity")]


def claims(cell: str) -> dict[str, Any]:
    """reports/claims.json: two effects of training, and a claim of each outcome."""
    statement = {
        "label": "relative FD∞, v/p2 over v/epsilon",
        "form": "ratio",
        "estimate": 0.64,
        "interval": [0.55, 0.73],
        "relation": "below",
        "bound": 1.0,
        "finding": "holds",
        "cells": [],
    }
    percent = {"form": "percent", "label": f"recall, {cell}", "cells": [cell]}
    statements = [statement, statement | percent | {"finding": "unresolved"}]
    family = {"family": "one", "level": 0.99, "p": 0.001, "p_holm": 0.003}
    tested = family | {"statements": statements, "facts": [], "why": ""}
    apart = {"family": "one", "level": None, "p": None, "p_holm": None, "statements": []}
    special = {
        "identity": apart | {"facts": [{"words": "so it is", "true": True}], "why": ""},
        "not testable here": apart | {"facts": [], "why": "No run is asked by a text."},
    }
    analysis = {
        "trainings": 18,
        "df": 7,
        "spread": {"fd_infinity": 0.08, "second_fd_infinity": 0.06},
        "blocked": False,
        "effects": effect("schedule", "linear", 1.3, "worse")
        + effect("schedule", "quadratic", 0.97, "equivalent"),
        "aliases": [{"factor": "schedule", "interaction": ["a", "b"], "share": 0.7}],
        "arms": {},
    }
    judged = {name: special.get(one, tested) | {"outcome": one} for name, one in OUTCOMES.items()}
    return SOURCED | {"level": 0.95, "effects": {"training": analysis}, "claims": judged}


def trajectories(run: str) -> dict[str, Any]:
    """reports/trajectories.json"""
    solver = {"evaluations": 10, "rmse": 0.02, "squares": [0.0004, 0.0004]}
    settling = {"coarse": [0.1, 0.2], "fine": [0.5, 0.6]}
    found = {
        "run": run,
        "weights_sha256": "d" * 64,
        "exact": solver,
        "solvers": {"ddim-10": solver},
    }
    return SOURCED | found | {"predicted": settling, "noise": settling}


def fd_curve(name: str, pace: float = 1.0) -> dict[str, Any]:
    """A run whose relative FD halves every 400 / pace steps of 64 images."""
    steps = range(400, 2801, 400)
    points: list[dict[str, Any]] = [
        {"step": s, "images": 64 * s, "fd": 1.0, "relative_fd": 2 ** (-pace * s / 400)}
        | {"samples_sha256": "d" * 64}
        for s in steps
    ]
    drawn = {"count": 30, "steps": 6, "sampler": "dpm-solver-2", "guidance": 1.0}
    floors = {"fd_floor": 0.05, "relative_fd_floor": 0.001, "digits_sha256": "d" * 64}
    return SOURCED | {"run": name, **drawn, "points": points, **floors}


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
    difference = own - base
    better = (difference < 0) == (metric != "accuracy")
    verdict = "better" if better else "worse"
    return {
        "table": table,
        "baseline": baseline,
        "cell": cell,
        "metric": metric,
        "difference": difference,
        "error": HALF / 1.96,
        "relative": None,
        "relative_error": None,
        "ratio": None if metric == "accuracy" else [1 + end / base for end in around(difference)],
        "interval": around(difference),
        "p": 0.01,
        "p_adjusted": 0.02,
        "verdict": verdict if abs(difference) > HALF else "unresolved",
        "n": 60,
        "training_seeds": 1,
    }


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
    return SOURCED | {
        "n": settings.sample.count,
        "level": 0.95,
        "judges": {"classifier": "d" * 64, "seed-1": "e" * 64},
        "cells": rows,
        "agreement": [{"judge": "classifier", "other": "seed-1", "tau": -1.0}],
        "disagreements": [found | {"differences": {"classifier": apart, "seed-1": -apart}}],
    }


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
    ns = np.array([50, 100, 200])
    against = [
        {"n": int(n), "metric": m, "mean": 1 / n, "low": 0.9 / n, "high": 1.1 / n}
        for m in METRICS
        for n in ns
    ]
    floor = {metric: {"mean": 0.1, "low": 0.1, "high": 0.1} for metric in METRICS}
    found = {"count": 60, "repeats": 2, "floor": floor}
    return SOURCED | found | {"against_n": against, "corruptions": rungs, "verdicts": verdicts}
