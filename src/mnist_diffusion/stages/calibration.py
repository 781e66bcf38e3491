"""calibration: the metrics put to the test, on real digits and on corrupted ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.mnist import Digits
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.evaluation.corruption import CORRUPTIONS, degradation, detection
from mnist_diffusion.evaluation.features import Extractors
from mnist_diffusion.evaluation.metrics import CALIBRATED
from mnist_diffusion.evaluation.real_digits import ORDER, compared, load_real, load_statistics
from mnist_diffusion.evaluation.scores import spread, summary
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.judge_reports import CalibrationReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.runtime.seeds import derive_seed
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> Outcome:
    """Every metric at every n, and at every severity of every corruption."""
    device = configure(settings.compute)
    files = [paths.PREPARED, paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    inputs = snapshot_inputs(__name__, None, settings, parameters, files, device)
    extractors = Extractors.load(device)
    chosen = settings.calibration
    baselines = {n: _baseline(extractors, n, settings) for n in chosen.counts}
    levels = _levels(extractors, baselines[chosen.count], settings)
    report = {
        "count": chosen.count,
        "repeats": chosen.repeats,
        "floor": baselines[chosen.count],
        "against_n": [
            {"n": n, "metric": metric, **baseline[metric]}
            for n, baseline in baselines.items()
            for metric in CALIBRATED
        ],
        "corruptions": levels,
        "verdicts": _verdicts(levels),
    }
    publish_report(paths.CALIBRATION, inputs, CalibrationReport, **report)
    return Outcome(len(levels) // len(CALIBRATED) * chosen.count)


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the sets and how they are corrupted."""
    return settings.calibration.model_dump(by_alias=True)


def _pool(n: int, settings: Settings, repeat: int = 0) -> Digits:
    """The test digits that sets of n are not compared with, in an order of their own."""
    digits = load_split("test")
    order: NDArray[np.int64] = np.load(paths.REFERENCE / ORDER, allow_pickle=False)
    others = order[compared(n, len(order)) :]
    seed = derive_seed(settings.calibration.seed, "calibration/set", repeat)
    chosen = np.random.default_rng(seed).permutation(others)
    return Digits(digits.images[chosen], digits.labels[chosen])


def _baseline(extractors: Extractors, n: int, settings: Settings) -> dict[str, dict[str, float]]:
    """Each metric over random sets of n real digits."""
    real, second = load_real(n), load_statistics("autoencoder")
    repeats, seed = settings.calibration.repeats, settings.calibration.seed
    sets = (_pool(n, settings, repeat) for repeat in range(repeats))
    found = [
        summary(extractors.judge(pool.images[:n], pool.labels[:n]), real, second, seed)
        for pool in track(sets, total=repeats, description=f"real at n={n}", unit="set")
    ]
    return {metric: spread([scores[metric] for scores in found]) for metric in CALIBRATED}


def _levels(
    extractors: Extractors, baseline: Mapping[str, Mapping[str, float]], settings: Settings
) -> list[dict[str, Any]]:
    """Each metric at each severity of each corruption, all of one set of real digits."""
    n = settings.calibration.count
    pool, real, second = _pool(n, settings), load_real(n), load_statistics("autoencoder")
    severities = settings.calibration.corruptions.model_dump(by_alias=True)
    levels = [(name, severity) for name in CORRUPTIONS for severity in severities[name]]
    rows = []
    for name, severity in track(levels, total=len(levels), description="corruptions", unit="set"):
        seed = derive_seed(settings.calibration.seed, f"calibration/{name}")
        corrupted = CORRUPTIONS[name](pool, n, severity, np.random.default_rng(seed))
        scores = summary(extractors.judge(*corrupted), real, second, settings.calibration.seed)
        rows += [
            {
                "corruption": name,
                "severity": severity,
                "metric": metric,
                "value": scores[metric],
                "relative_to_floor": degradation(metric, scores[metric], baseline[metric]),
            }
            for metric in CALIBRATED
        ]
    return rows


def _verdicts(levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in levels:
        key = row["corruption"], row["metric"]
        found.setdefault(key, []).append(row["relative_to_floor"])
    return [detection(*key, degradations) for key, degradations in found.items()]
