"""Every chart of the page, by section."""

from __future__ import annotations

from mnist_diffusion.reporting.charts import calibrating, cost, frontier, learning
from mnist_diffusion.reporting.charts.chart import Chart
from mnist_diffusion.reporting.charts.differences import differences
from mnist_diffusion.reporting.results import Results


def all_charts(results: Results) -> dict[str, list[Chart]]:
    """Charts by the place they stand in."""
    compared = differences(results)
    return {
        "levels": cost.levels(results),
        "cost": [cost.cost(results)],
        "frontier": frontier.frontier(results),
        "losses": learning.losses(results),
        "progress": learning.progress(results),
        "against-n": calibrating.against_n(results),
        "ladder": calibrating.ladder(results),
        **{f"differences-{table}": charts for table, charts in compared.items()},
    }
