"""`mnist-diffusion ui` and `serve`: MLflow's servers on what was logged, for this machine only.

Both take the place of this process, so that Ctrl-C and other signals are the server's own matter.

The views that the pages open with are in views.yaml. MLflow keeps what its share button makes as an
experiment tag, `mlflow.sharedViewState`, so a view can be written beforehand. The tag is documented
nowhere: another MLflow may want it otherwise, and show its own pages meanwhile.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import load_settings
from mnist_diffusion.tracking import models, store
from mnist_diffusion.tracking.records import IN_TABLE
from mnist_diffusion.tracking.store import SNAPSHOTS, Store
from mnist_diffusion.tracking.sync import Counts, log_all, sync

HOST = "127.0.0.1"
VIEWS = Path(__file__).with_name("views.yaml")
Json = Mapping[str, Any]
LATEST = "tags.latest = 'true'"
WORKFLOW = "workflowType=machine_learning"
"""Without it MLflow may open its pages for chats."""


def show_pages(port: int = 5000) -> None:
    """Complete MLflow, print a link to each view, and serve its pages on 127.0.0.1.

    Where MLFLOW_TRACKING_URI names a server, that one is linked to and nothing is started.
    UserError if the store cannot be opened or the port is taken.
    """
    uri = store.tracking_uri()
    if is_remote := uri.startswith(("http://", "https://")):
        server = uri.rstrip("/")
    else:
        _require_free(port)
        server = f"http://{HOST}:{port}"
    opened = _complete().store
    if opened is None:
        uri = store.without_password(uri)
        raise UserError(f"{uri}: cannot be opened; mend or unset MLFLOW_TRACKING_URI, or move it")
    publish_views(opened)
    for title, address in links(store.without_password(server), opened, models.name()):
        sys.stdout.write(f"{title:<28} {address}\n")
    if not is_remote:
        sys.stdout.write("They answer in some seconds; Ctrl-C ends it.\n")
        _become_pages(uri, port)


def serve_model(run: str | None = None, port: int = 5001) -> NoReturn:
    """Complete MLflow, then answer requests with digits of a run, or of the best one."""
    _require_free(port)
    _complete()
    model = f"models:/{models.name()}@{models.ALIAS_OF_RUN.format(run) if run else models.BEST}"
    arguments = ["models", "serve", "--env-manager", "local", "--model-uri", model]
    _become(["mlflow", *arguments, "--host", HOST, "--port", str(port)], {})


def publish_views(opened: Store) -> None:
    """Write the views into their experiments, over older ones."""
    steps = {SNAPSHOTS: _last_step(opened)}
    for view in _pages()["views"]:
        tag = f"mlflow.sharedViewState.{view['key']}"
        state = json.dumps(_state(view, steps.get(view["experiment"], 0)))
        opened.client.set_experiment_tag(opened.experiments[view["experiment"]], tag, state)


def links(server: str, opened: Store, model: str) -> Iterator[tuple[str, str]]:
    """What each view, and the registered models, show, and their addresses."""
    for view in _pages()["views"]:
        page = f"{server}/#/experiments/{opened.experiments[view['experiment']]}/runs?{WORKFLOW}"
        mode = "&compareRunsMode=CHART" if "charts" in view else ""
        yield view["title"], f"{page}{mode}&viewStateShareKey={view['key']}"
    yield "models", f"{server}/#/models/{model}?{WORKFLOW}"


def _complete() -> Counts:
    try:
        return sync(load_settings())
    except UserError as error:  # the settings are broken: what is in MLflow can still be seen
        sys.stderr.write(f"warning: {error}\n")
        return log_all([])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            raise UserError(f"port {port}: cannot be opened; choose another") from None


def _become_pages(uri: str, port: int) -> NoReturn:
    """MLflow's server without its supervisor and job runner: one process, not fifteen."""
    from mlflow.server import constants

    environment = {
        constants.BACKEND_STORE_URI_ENV_VAR: uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: uri,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: store.artifacts().as_uri(),
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "PYTHONWARNINGS": "ignore",
    }
    command = ["uvicorn", "mlflow.server.fastapi_app:app", "--log-level", "warning"]
    _become([*command, "--host", HOST, "--port", str(port)], environment)


def _become(module: list[str], environment: dict[str, str]) -> NoReturn:
    """Go on as another module of this Python, beside whose programs those of its own lie."""
    programs = str(Path(sys.executable).parent)
    search = os.pathsep.join(filter(None, (programs, os.environ.get("PATH"))))
    own = {"MLFLOW_TRACKING_URI": store.tracking_uri(), "PATH": search}
    own |= {"MLFLOW_LOGGING_LEVEL": "ERROR"}
    sys.stdout.flush()
    command = [sys.executable, "-m", *module]
    os.execve(sys.executable, command, {**os.environ, **own, **environment})


@cache
def _pages() -> dict[str, Any]:
    return read_yaml(VIEWS)


def _last_step(opened: Store) -> int:
    """Of the newest curve: at another step than its own a run shows no digits."""
    runs = opened.client.search_runs([opened.experiments[SNAPSHOTS]], LATEST, max_results=1)
    history = [opened.client.get_metric_history(run.info.run_id, "relative_fd") for run in runs]
    return max((point.step for points in history for point in points), default=0)


def _state(view: Json, step: int) -> dict[str, Any]:
    """A page in MLflow's own words."""
    pages, experiment, charts = _pages(), view["experiment"], view.get("charts", ())
    columns = pages["columns"][experiment].items()
    only = f" and tags.{IN_TABLE.format(view['table'])} = 'true'" if "table" in view else ""
    state = {
        **pages["pages"][experiment],
        "searchFilter": LATEST + only,
        "selectedColumns": [f"{kind}.`{key}`" for kind, keys in columns for key in keys],
    }
    if charts:
        width = min(len(charts), 2)
        height = {"columns": width, "cardHeight": 800 // width}
        state["compareRunSections"] = [pages["section"] | height]
        state["compareRunCharts"] = [
            {**pages["chart"], **chart, "step": step, "uuid": f"chart-{place}"}
            for place, chart in enumerate(charts)
        ]
    return state
