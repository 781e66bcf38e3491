"""How MLflow's pages open: the runs, columns, order and charts worth seeing first.

MLflow keeps what its share button makes as an experiment tag, so a view can be written beforehand.
Left alone, its table shows neither parameters nor metrics, and its charts ten of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_diffusion.tracking.records import PICTURE
from mnist_diffusion.tracking.store import CELLS, PIPELINE, SNAPSHOTS, TRAINING, Store

CHOICES = [
    "schedule", "conditioning", "prediction", "weighting", "sampler", "steps", "spacing",
    "guidance",
]  # fmt: skip
TRAINED = ["schedule", "conditioning", "network", "prediction", "weighting", "timestep_sampling"]
SCORES = ["relative_fd", "accuracy", "kid", "precision", "recall", "network_evaluations"]
COLUMNS: Mapping[str, Mapping[str, Sequence[str]]] = {
    CELLS: {"metrics": SCORES, "params": CHOICES},
    TRAINING: {"metrics": ["loss", "seconds", "images_per_second"], "params": TRAINED},
    SNAPSHOTS: {"metrics": ["relative_fd"], "params": ["run", "sampler", "steps", "guidance"]},
    PIPELINE: {"metrics": ["seconds", "images_per_second"], "tags": ["stage", "cell", "scale"]},
}
ORDER = {CELLS: "metrics.`relative_fd`"}
LATEST = "tags.latest = 'true'"
SECTION = "ours"
WORKFLOW = "workflowType=machine_learning"
"""Without it MLflow may open its pages for chats."""
MOST_RUNS = 100
"""That a chart draws; left alone, MLflow draws ten."""


def metric(key: str) -> dict[str, str]:
    """An axis."""
    return {"key": key, "type": "METRIC"}


def param(key: str) -> dict[str, str]:
    """An axis."""
    return {"key": key, "type": "PARAM"}


def bars(key: str) -> dict[str, Any]:
    """A metric of each run."""
    return {"type": "BAR", "metricKey": key}


def points(x: Mapping[str, str], y: Mapping[str, str]) -> dict[str, Any]:
    """A run a point."""
    return {"type": "SCATTER", "xaxis": x, "yaxis": y}


def curves(key: str, scale: str = "linear") -> dict[str, Any]:
    """A metric along training, a run a line."""
    own = {"metricKey": key, "selectedMetricKeys": [key], "scaleType": scale, "xAxisKey": "step"}
    return {"type": "LINE", **own, "yAxisKey": "metric", "lineSmoothness": 30}


def paths_of(params: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
    """From choices to scores, a run a line."""
    own = {"selectedParams": [*params], "selectedMetrics": [*metrics], "showAllRuns": True}
    return {"type": "PARALLEL", **own}


def digits() -> dict[str, Any]:
    """The digits of each run side by side; the same noise has the same place in all of them."""
    return {"type": "IMAGE", "imageKeys": [PICTURE]}


@dataclass(frozen=True)
class View:
    """A page of an experiment."""

    title: str
    experiment: str
    key: str
    """In the address."""
    table: str | None = None
    """Of the report, whose cells it shows; None for all."""
    charts: Sequence[Mapping[str, Any]] = ()
    """None: it is a table."""


FD, ACCURACY = metric("relative_fd"), metric("accuracy")
BOTH = ["relative_fd", "accuracy"]
VIEWS = (
    View("all cells", CELLS, "latest"),
    View(
        "all cells, charts",
        CELLS,
        "charts",
        charts=[paths_of(CHOICES, BOTH), points(FD, ACCURACY), *map(bars, BOTH)],
    ),
    View("digits of all cells", CELLS, "digits", charts=[digits()]),
    View("schedules", CELLS, "schedules", "schedules", [*map(bars, BOTH), points(FD, ACCURACY)]),
    View(
        "FD by guidance",
        CELLS,
        "guidance",
        "guidance",
        [points(param("guidance"), FD), points(param("guidance"), ACCURACY), points(FD, ACCURACY)],
    ),
    View(
        "FD by cost",
        CELLS,
        "samplers",
        "samplers",
        [points(metric("network_evaluations"), FD), bars("relative_fd")],
    ),
    View("training runs", TRAINING, "latest"),
    View(
        "training curves",
        TRAINING,
        "curves",
        charts=[curves("loss", "log"), curves("gradient_norm", "log"), bars("seconds")],
    ),
    View(
        "FD and digits along training",
        SNAPSHOTS,
        "snapshots",
        charts=[curves("relative_fd", "log"), digits()],
    ),
    View("all other stages", PIPELINE, "latest"),
)


def tag_of(table: str) -> str:
    """The tag, true, of the cells of a table of the report."""
    return f"in_{table}"


def publish_views(opened: Store) -> None:
    """Write the views into their experiments, over older ones.

    `mlflow.sharedViewState` is documented nowhere: another MLflow may want it otherwise, and show
    its own pages meanwhile.
    """
    steps = {SNAPSHOTS: _last_step(opened)}
    for view in VIEWS:
        tag = f"mlflow.sharedViewState.{view.key}"
        state = json.dumps(_state(view, steps.get(view.experiment, 0)))
        opened.client.set_experiment_tag(opened.experiments[view.experiment], tag, state)


def _last_step(opened: Store) -> int:
    """Of the newest curve: at another step than its own a run shows no digits."""
    runs = opened.client.search_runs([opened.experiments[SNAPSHOTS]], LATEST, max_results=1)
    history = [opened.client.get_metric_history(run.info.run_id, "relative_fd") for run in runs]
    return max((point.step for points in history for point in points), default=0)


def links(server: str, opened: Store, model: str) -> dict[str, str]:
    """Addresses of all views, and of the registered models, by what they show."""
    pages = {view.title: _address(server, opened, view) for view in VIEWS}
    return pages | {"models": f"{server}/#/models/{model}?{WORKFLOW}"}


def _address(server: str, opened: Store, view: View) -> str:
    page = f"{server}/#/experiments/{opened.experiments[view.experiment]}/runs?{WORKFLOW}"
    mode = "&compareRunsMode=CHART" if view.charts else ""
    return f"{page}{mode}&viewStateShareKey={view.key}"


def _state(view: View, step: int) -> dict[str, Any]:
    """A page in MLflow's own words: best cell first, else newest run first."""
    chosen = COLUMNS[view.experiment].items()
    only = f" and tags.{tag_of(view.table)} = 'true'" if view.table else ""
    state: dict[str, Any] = {
        "searchFilter": LATEST + only,
        "orderByKey": ORDER.get(view.experiment, "attributes.start_time"),
        "orderByAsc": view.experiment in ORDER,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [f"{kind}.`{key}`" for kind, keys in chosen for key in keys],
        "runsHiddenMode": "SHOW_ALL",
    }
    return state | (_section(view.title, view.charts, step) if view.charts else {})


def _section(title: str, charts: Sequence[Mapping[str, Any]], step: int) -> dict[str, Any]:
    shared: dict[str, Any] = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    shared |= {"runsCountToCompare": MOST_RUNS, "step": step}
    section = {"uuid": SECTION, "name": title, "display": True, "isReordered": False}
    columns = min(len(charts), 2)
    section |= {"columns": columns, "cardHeight": 800 // columns}
    return {
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "compareRunCharts": [
            {**chart, **shared, "step": step, "uuid": f"{SECTION}-{place}"}
            for place, chart in enumerate(charts)
        ],
    }
