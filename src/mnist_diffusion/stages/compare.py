"""compare: every cell of the report's tables against its baselines, image by image."""

from collections.abc import Iterable, Iterator
from typing import Any

from mnist_diffusion.evaluation.families import Family
from mnist_diffusion.evaluation.features import Extractors, JudgedSet, load_cell
from mnist_diffusion.evaluation.metrics import COMPARED, METRICS
from mnist_diffusion.evaluation.paired import (
    NETWORKS,
    Difference,
    Drawing,
    Pair,
    PairedComparisons,
    pairs,
    unmatched,
    verdict_of,
)
from mnist_diffusion.evaluation.real_digits import load_classes, load_statistics
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.provenance.lineage import publish_report, read_manifest, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import ComparisonsReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings, TableCells

CLAIMS = "claims"
"""The pairs that claims ask for, beside those of the report's tables."""
UNMATCHED = "no baseline of the table was asked for the same digits"


def run(settings: Settings) -> None:
    """Judge every cell of the tables, and compare."""
    device = configure(settings.compute)
    declared = [cell for _, table in settings.tables for cell in table.cells]
    claimed = [cell for pair in settings.claimed_pairs() for cell in pair]
    cells = [cell for cell in dict.fromkeys([*declared, *claimed]) if cell in settings.cells]
    files = [*map(paths.samples, cells), paths.CLASSIFIER, paths.AUTOENCODER, paths.REFERENCE]
    inputs = snapshot_inputs(__name__, None, settings, parameters, files, device)
    extractors = Extractors.load(device)
    judged = {cell: extractors.judge(*load_cell(cell)) for cell in cells}
    report = {
        "level": settings.evaluate.level,
        **_compared(settings, judged),
        "classifier_sha256": extractors.digest("classifier"),
        "autoencoder_sha256": extractors.digest("autoencoder"),
        "reference_sha256": read_json(paths.REFERENCE_REPORT)["reference_sha256"],
    }
    publish_report(paths.COMPARISONS, inputs, ComparisonsReport, **report)


def parameters(settings: Settings) -> dict[str, Any]:
    """Which cells meet, and how sure of it we want to be."""
    return {
        **settings.evaluate.model_dump(),
        "margins": settings.margins.model_dump(),
        "tables": settings.tables.model_dump(),
        "pairs": [list(pair) for pair in settings.claimed_pairs()],
    }


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
    chosen[CLAIMS] = list(_claimed(settings.claimed_pairs(), drawings))
    references = {network: load_statistics(network) for network in NETWORKS.values()}
    paired = PairedComparisons(judged, references, load_classes(), settings.evaluate.seed)
    return {
        "comparisons": list(_rows(chosen, paired, settings)),
        "left_out": [
            {"table": name, "cell": cell, "why": UNMATCHED}
            for name, table in tables.items()
            for cell in unmatched(table.cells, table.baselines, drawings)
        ],
    }


def _claimed(wanted: Iterable[tuple[str, str]], drawings: dict[str, Drawing]) -> Iterator[Pair]:
    """What claims ask for, as far as both cells are declared and asked for the same digits."""
    for cell, baseline in wanted:
        if cell in drawings and baseline in drawings:
            yield from pairs([cell], [baseline], drawings)


def _rows(
    chosen: dict[str, list[Pair]], paired: PairedComparisons, settings: Settings
) -> Iterator[dict[str, Any]]:
    """Every comparison, by table and metric."""
    every = [(table, pair) for table, found in chosen.items() for pair in found]
    tracked = track(every, total=len(every), description="compare", unit="pair")
    differences = {(table, pair): paired.differences(pair) for table, pair in tracked}
    for table in chosen:
        yield from _family(table, differences, settings)


def _family(
    table: str, differences: dict[tuple[str, Pair], dict[str, Difference]], settings: Settings
) -> Iterator[dict[str, Any]]:
    """A table's comparisons under all metrics: all their intervals hold together, so often."""
    members = [
        (metric, pair, found[metric])
        for metric in COMPARED
        for (where, pair), found in differences.items()
        if where == table and metric in found
    ]
    if not members:
        return
    family = Family.of([found.estimate for *_, found in members], settings.evaluate.seed)
    reach = family.reach(settings.evaluate.level)
    for metric, pair, found in members:
        distance, relative = METRICS[metric].lower_is_better, found.relative
        yield {
            "table": table,
            "baseline": pair.baseline,
            "cell": pair.cell,
            "metric": metric,
            "difference": found.estimate.value,
            "error": found.estimate.error,
            "relative": relative.value if relative else None,
            "relative_error": relative.error if relative else None,
            "interval": list(found.around(reach)),
            "ratio": found.ratio(reach) if distance else None,
            "p": found.p,
            "p_adjusted": family.adjusted(found.p),
            "verdict": verdict_of(metric, found, reach, settings.margins),
            "n": pair.n,
            "training_seeds": 1,
        }
