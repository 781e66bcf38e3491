"""The views that MLflow's pages open with, and what they stand on: tags, filters, datasets."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tracked import RECORD, log, logged

from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.tracking import store, sync, ui

SERVER = "http://127.0.0.1:5000"
TABLES = {"schedules": ["a", "b"], "guidance": ["b"], "samplers": []}


@pytest.fixture
def experiments(repository):
    opened = store.open_store()
    ui.publish_views(opened)
    return opened


def cells(tables):
    """Three of them, marked as `sync` marks what is published."""
    tables = {table: SimpleNamespace(cells=names) for table, names in tables.items()}.items()
    settings = SimpleNamespace(scale="smoke", tables=tables)
    for name in ("a", "b", "c"):
        yield replace(RECORD, name=name, marks=sync._marks(settings, STAGES["evaluate"], name))


def test_every_link_leads_to_a_view_that_is_there(experiments):
    links = dict(ui.links(SERVER, experiments, "mnist-diffusion"))
    titles = ["all cells", "schedules", "FD by guidance", "FD by cost", "training curves", "models"]
    assert set(titles) <= set(links)
    for link in list(links.values())[:-1]:
        experiment, key = re.search(
            r"/experiments/(\d+)/.*&viewStateShareKey=(\w+)$", link
        ).groups()
        client, _ = store.open_experiment(store.CELLS)
        state = client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"]
        assert ("compareRunsMode=CHART" in link) == ("compareRunCharts" in json.loads(state))


def test_a_view_shows_the_cells_of_its_table(experiments):
    log(*cells(TABLES))
    assert shown("latest") == {"a", "b", "c"}
    assert shown("schedules") == {"a", "b"}
    assert shown("guidance") == {"b"}
    assert shown("samplers") == set()
    log(*cells({**TABLES, "schedules": ["c"]}))
    assert shown("latest") == {"a", "b", "c"}
    assert shown("schedules") == {"c"}


def shown(key):
    client, experiment = store.open_experiment(store.CELLS)
    tag = client.get_experiment(experiment).tags[f"mlflow.sharedViewState.{key}"]
    found = client.search_runs([experiment], json.loads(tag)["searchFilter"])
    return {run.data.tags["cell"] for run in found}


def test_datasets_are_named_with_the_digest_of_their_pixels(repository):
    trained = replace(RECORD, stage="train", name="a-run", tags={"images_sha256": "cd" * 32})
    log(trained, RECORD, replace(RECORD, stage="sample"))
    datasets = {}
    for name in store.EXPERIMENTS:
        for run in logged(name)[1]:
            datasets[run.info.run_name] = run.inputs.dataset_inputs
    [trained], [judged] = datasets["a-run"], datasets["a"]
    assert datasets["sample@a"] == []
    assert (trained.dataset.name, trained.dataset.digest) == ("data/prepared", "cd" * 18)
    assert json.loads(trained.dataset.source)["sha256"] == "cd" * 32
    assert (judged.dataset.name, judged.dataset.digest) == ("data/samples/a", "ab" * 18)
    assert [(tag.key, tag.value) for tag in judged.tags] == [("mlflow.data.context", "evaluation")]
