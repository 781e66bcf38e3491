"""The report's tables: relative FD and accuracies in per cent, costs in seconds."""

from mnist_diffusion.reporting import choices, comparisons, records
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table import Table


def all_tables(results: Results) -> list[Table]:
    """Every table of the report, in reading order."""
    return [
        comparisons.schedules(results),
        choices.ablations(results),
        comparisons.samplers(results),
        comparisons.guidance(results),
        choices.choices(results),
        comparisons.per_class(results),
        records.runs(results),
        records.cells(results),
        records.provenance(results),
    ]
