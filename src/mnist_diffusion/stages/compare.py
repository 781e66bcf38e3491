"""compare: every cell of the report's tables against its baselines, image by image."""

from collections.abc import Iterator
from typing import Any

from mnist_diffusion.evaluation.features import Extractors, JudgedSet, load_cell
from mnist_diffusion.evaluation.metrics import COMPARED, METRICS
from mnist_diffusion.evaluation.paired import (
    NETWORKS,
    Drawing,
    Pair,
    PairedComparisons,
    holm,
    pairs,
    unmatched,
    verdict,
)
from mnist_diffusion.evaluation.real_digits import load_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.provenance.lineage import publish_report, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import ComparisonsReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings, TableCells

UNMATCHED = "no baseline of the table was asked for the same digits"


def run(settings: Settings) -> None:
    """Judge every cell of the tables, and compare."""
    device = configure(settings.compute)
    cells = list(dict.fromkeys(cell for _, table in settings.tables for cell in table.cells))
    files = [*map(paths.samples, cells), paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    inputs = snapshot_inputs(__name__, None, settings, parameters, files, device)
    extractors = Extractors.load(device)
    judged = {cell: extractors.judge(*load_cell(cell)) for cell in cells}
    report = {
        "level": settings.evaluate.level,
        "resamples": settings.evaluate.resamples,
        **_compared(settings, judged),
        "classifier_sha256": extractors.digest("classifier"),
        "autoencoder_sha256": extractors.digest("autoencoder"),
        "reference_sha256": read_json(paths.REFERENCE_REPORT)["reference_sha256"],
    }
    publish_report(paths.COMPARISONS, inputs, ComparisonsReport, **report)


def parameters(settings: Settings) -> dict[str, Any]:
    """Which cells meet, and how often they are resampled."""
    return {**settings.evaluate.model_dump(), "tables": settings.tables.model_dump()}


def _drawing(cell: str, judged: JudgedSet) -> Drawing:
    manifest = read_manifest(paths.samples(cell))
    return Drawing(
        judged.labels,
        guidance=manifest["parameters"]["cell"]["guidance"],
        seed=manifest["parameters"]["training"]["run"]["seed"],
    )


def _compared(settings: Settings, judged: dict[str, JudgedSet]) -> dict[str, Any]:
    """Every comparison, and the cells that have none."""
    drawings = {cell: _drawing(cell, found) for cell, found in judged.items()}
    tables: dict[str, TableCells] = dict(settings.tables)
    chosen = {name: pairs(table.cells, table.baselines, drawings) for name, table in tables.items()}
    references = {network: load_statistics(network) for network in NETWORKS.values()}
    paired = PairedComparisons(judged, references, **settings.evaluate.model_dump())
    return {
        "comparisons": list(_rows(chosen, paired, settings.evaluate.level)),
        "left_out": [
            {"table": name, "cell": cell, "why": UNMATCHED}
            for name, table in tables.items()
            for cell in unmatched(table.cells, table.baselines, drawings)
        ],
    }


def _rows(
    chosen: dict[str, list[Pair]], paired: PairedComparisons, level: float
) -> Iterator[dict[str, Any]]:
    """Every comparison, p-values adjusted within a table and a metric."""
    every = [(table, pair) for table, found in chosen.items() for pair in found]
    tracked = track(every, total=len(every), description="compare", unit="pair")
    differences = {(table, pair): paired.differences(pair) for table, pair in tracked}
    for table in chosen:
        for metric in COMPARED:
            yield from _family(table, metric, differences, level)


def _family(
    table: str, metric: str, differences: dict[Any, Any], level: float
) -> Iterator[dict[str, Any]]:
    family = [
        (pair, found[metric])
        for (where, pair), found in differences.items()
        if where == table and metric in found
    ]
    adjusted = holm([found.p for _, found in family])
    for (pair, found), p in zip(family, adjusted, strict=True):
        yield {
            "table": table,
            "baseline": pair.baseline,
            "cell": pair.cell,
            "metric": metric,
            "difference": found.value,
            "interval": list(found.interval),
            "p": found.p,
            "p_holm": p,
            "verdict": verdict(found.value, p, level, METRICS[metric].lower_is_better),
            "n": pair.n,
            "training_seeds": 1,
        }
