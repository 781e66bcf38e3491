"""How MLflow's pages open: the runs, columns, order and charts worth seeing first.

MLflow keeps what its share button makes as an experiment tag, so a view can be written beforehand.
Left alone, its table shows neither parameters nor metrics, and its charts ten of the runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mnist_diffusion.tracking.store import CELLS, PIPELINE, TRAINING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

VIEW = "latest"
SHARED_VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"

CELL_PARAMS = [
    "schedule", "conditioning", "prediction", "weighting", "sampler", "steps", "spacing",
    "guidance",
]  # fmt: skip
COLUMNS = {
    CELLS: {"metrics": ["relative_fd", "accuracy"], "params": CELL_PARAMS},
    TRAINING: {
        "metrics": ["loss", "seconds", "images_per_second"],
        "params": [
            "schedule",
            "conditioning",
            "network",
            "prediction",
            "weighting",
            "timestep_sampling",
        ],
    },
    PIPELINE: {"metrics": ["seconds", "images_per_second"], "tags": ["stage", "cell", "scale"]},
}
ORDER = {CELLS: "metrics.`relative_fd`"}
SECTION = "quality"


def publish_view(client: MlflowClient, experiment_id: str, name: str) -> None:
    """Write an experiment's first view into it, over an older one."""
    view = json.dumps(_view(name))
    client.set_experiment_tag(experiment_id, SHARED_VIEW_TAG, view)


def links(server: str, experiment_id: str, name: str) -> dict[str, str]:
    """Addresses of an experiment's table and charts, by what they show."""
    page = f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
    short = name.rpartition("/")[2]
    return {
        f"{short}, table": f"{page}&viewStateShareKey={VIEW}",
        f"{short}, charts": f"{page}&compareRunsMode=CHART&viewStateShareKey={VIEW}",
    }


def _view(name: str) -> dict[str, Any]:
    """The state of MLflow's page, in its own words: best cell first, else newest run first."""
    columns = [f"{kind}.`{key}`" for kind, keys in COLUMNS[name].items() for key in keys]
    view: dict[str, Any] = {
        "searchFilter": "tags.latest = 'true'",
        "orderByKey": ORDER.get(name, "attributes.start_time"),
        "orderByAsc": name in ORDER,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": columns,
        "runsHiddenMode": "SHOW_ALL",
    }
    return view | (_cell_charts() if name == CELLS else {})


def _cell_charts() -> dict[str, Any]:
    """Choices to scores as lines, quality against obedience as points, and both as bars."""
    metrics = COLUMNS[CELLS]["metrics"]
    fd, accuracy = ({"key": key, "type": "METRIC"} for key in metrics)
    charts: list[dict[str, Any]] = [
        {
            "type": "PARALLEL",
            "selectedParams": CELL_PARAMS,
            "selectedMetrics": metrics,
            "showAllRuns": True,
        },
        {"type": "SCATTER", "xaxis": fd, "yaxis": accuracy},
        *({"type": "BAR", "metricKey": key} for key in metrics),
    ]
    shared = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    shared["runsCountToCompare"] = 100
    section = {"uuid": SECTION, "name": "Quality", "display": True, "isReordered": False}
    return {
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "compareRunCharts": [
            {**chart, **shared, "uuid": f"{SECTION}-{place}"} for place, chart in enumerate(charts)
        ],
    }
