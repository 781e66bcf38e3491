"""How MLflow's pages open: the runs, columns, order and charts worth seeing first.

MLflow keeps what its share button makes as an experiment tag, so a view can be written beforehand.
Left alone, its table shows neither parameters nor metrics, and its charts ten of the runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnist_diffusion.tracking.models import MODEL
from mnist_diffusion.tracking.store import CELLS, PIPELINE, TRAINING
from mnist_diffusion.tracking.tables import tag_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHOICES = [
    "schedule", "conditioning", "prediction", "weighting", "sampler", "steps", "spacing",
    "guidance",
]  # fmt: skip
TRAINED = ["schedule", "conditioning", "network", "prediction", "weighting", "timestep_sampling"]
SCORES = ["relative_fd", "accuracy", "kid", "precision", "recall", "network_evaluations"]
COLUMNS: Mapping[str, Mapping[str, Sequence[str]]] = {
    CELLS: {"metrics": SCORES, "params": CHOICES},
    TRAINING: {"metrics": ["loss", "seconds", "images_per_second"], "params": TRAINED},
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
    View("all other stages", PIPELINE, "latest"),
)


def publish_views(client: MlflowClient, experiment_id: str, name: str) -> None:
    """Write an experiment's views into it, over older ones."""
    for view in VIEWS:
        if view.experiment == name:
            tag = f"mlflow.sharedViewState.{view.key}"
            client.set_experiment_tag(experiment_id, tag, json.dumps(_state(view)))


def links(server: str, experiments: Mapping[str, str]) -> dict[str, str]:
    """Addresses of all views, and of the registered models, by what they show."""
    pages = {view.title: _address(server, experiments[view.experiment], view) for view in VIEWS}
    return pages | {"models": f"{server}/#/models/{MODEL}?{WORKFLOW}"}


def _address(server: str, experiment_id: str, view: View) -> str:
    page = f"{server}/#/experiments/{experiment_id}/runs?{WORKFLOW}"
    mode = "&compareRunsMode=CHART" if view.charts else ""
    return f"{page}{mode}&viewStateShareKey={view.key}"


def _state(view: View) -> dict[str, Any]:
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
    return state | (_section(view.title, view.charts) if view.charts else {})


def _section(title: str, charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shared = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    shared["runsCountToCompare"] = MOST_RUNS
    section = {"uuid": SECTION, "name": title, "display": True, "isReordered": False}
    section |= {"columns": 2, "cardHeight": 400}
    return {
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "compareRunCharts": [
            {**chart, **shared, "uuid": f"{SECTION}-{place}"} for place, chart in enumerate(charts)
        ],
    }
