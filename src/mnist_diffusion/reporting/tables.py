"""The report's tables: relative FD and accuracies in per cent, costs in seconds."""

from mnist_diffusion.reporting import choices, comparisons, judgements, records
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.table import Table


def all_tables(results: Results) -> list[Table]:
    """Every table of the report that has rows, in reading order."""
    tables = [
        comparisons.schedules(results),
        choices.ablations(results),
        comparisons.samplers(results),
        comparisons.guidance(results),
        choices.choices(results),
        comparisons.per_class(results),
        records.runs(results),
        records.progress(results),
        records.cells(results),
        judgements.metrics(results),
        judgements.comparisons(results),
        records.provenance(results),
    ]
    return [table for table in tables if len(table.frame)]
