"""From published files to MLflow."""

import json
from pathlib import Path

import fake_results
import pytest
from PIL import Image
from ruamel.yaml import YAML
from tracked import assert_one_warning, logged

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.settings import load_settings
from mnist_diffusion.tracking import store, sync
from mnist_diffusion.tracking.sync import Counts

REPOSITORY = Path(__file__).parents[2]
CELL, RUN = "linear-uncond", "linear-uncond"
HISTORY = "step,images,loss,gradient_norm,learning_rate\n20,1280,0.5,1.25,0.1\n40,2560,nan,2,0.05\n"
COMMIT = {"git_commit": "ab" * 20, "git_dirty": False}


def read(path):
    return json.loads(path.read_text())


def write_sidecar(stage, name, file, **more):
    content = {"seconds": 8.0, "finished": "2026-11-01T12:00:00+00:00", **COMMIT}
    content["manifest_sha256"] = json_digest(read(file))
    write_json(paths.timing(stage, name), content | more)


@pytest.fixture
def published(repository, monkeypatch):
    """One run and one cell, whole, and sidecars; everything else of params.yaml is yet to come."""
    monkeypatch.chdir(repository)
    content = fake_results.small_content()
    YAML(typ="safe").dump(content, repository / "params.yaml")
    settings = fake_results.small_settings()
    fake_results._write_run(repository, RUN, settings)
    fake_results._write_cell(repository, CELL, settings)
    model, images = paths.model(RUN) / "manifest.json", paths.samples(CELL) / "manifest.json"
    (paths.model(RUN) / "history.csv").write_text(HISTORY)
    fake_results.change(
        paths.metrics(CELL), made_from={f"sample@{CELL}": json_digest(read(images))}
    )
    write_sidecar("train", RUN, model)
    write_sidecar("sample", CELL, images)
    write_sidecar("evaluate", CELL, paths.metrics(CELL))
    return repository


def complete():
    return sync.sync(load_settings())


def only(experiment):
    client, [run] = logged(experiment)
    return client, run


def test_what_is_published_is_logged_once_and_what_is_not_is_no_failure(published, capfd):
    assert complete() == Counts(logged=3)
    assert complete() == Counts(already=3)
    assert capfd.readouterr().err == ""
    client, run = only(store.TRAINING)
    known = {"learning_rate": "0.003", "network_channels": "24, 48", "timesteps": "1000"}
    assert known.items() <= run.data.params.items()
    norms = client.get_metric_history(run.info.run_id, "gradient_norm")
    assert sorted((m.step, m.value) for m in norms) == [(20, 1.25), (40, 2.0)]
    client, run = only(store.CELLS)
    cell = load_settings().cell(CELL)
    wanted = {"sampler": cell.sampler, "steps": cell.steps, "run": RUN, "schedule": "linear"}
    assert {key: str(value) for key, value in wanted.items()}.items() <= run.data.params.items()
    assert run.data.metrics["relative_fd"] == read(paths.metrics(CELL))["relative_fd"]
    assert run.data.metrics["seconds"] == 8
    assert run.info.end_time == 1793534400_000
    assert {"git_commit": "ab" * 20, "git_dirty": "false"}.items() <= run.data.tags.items()
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {f"{CELL}.json", "images"}
    [thumbnail] = (published / "mlartifacts").rglob("digits+*.png")
    assert Image.open(thumbnail).size == (560, 448)


def test_a_sidecar_of_another_time_says_nothing(published):
    write_sidecar("train", RUN, paths.metrics(CELL))
    paths.timing("sample", CELL).write_text("{")
    paths.timing("evaluate", CELL).unlink()
    assert complete() == Counts(logged=3)
    for experiment in (store.CELLS, store.TRAINING, store.PIPELINE):
        _, run = only(experiment)
        assert "seconds" not in run.data.metrics and "git_commit" not in run.data.tags


def test_images_that_were_drawn_again_are_not_logged_with_the_old_score(published):
    fake_results.change(paths.samples(CELL) / "manifest.json", network_evaluations=99)
    assert complete() == Counts(logged=2)
    assert logged(store.CELLS)[1] == []


def test_a_fresh_clone_has_metrics_and_no_images_and_that_is_no_failure(published, capfd):
    (paths.samples(CELL) / "manifest.json").unlink()
    assert complete() == Counts(logged=1)
    assert capfd.readouterr().err == ""


def test_what_cannot_be_read_is_told_in_one_line_and_the_rest_is_logged(published, capfd):
    (paths.model(RUN) / "manifest.json").write_text('{"schema": 1}')
    (paths.samples(CELL) / "manifest.json").write_text("{")
    assert complete() == Counts(failed=3)
    told = f"train@{RUN}: cannot be read (KeyError: 'final_loss') (and 2 more); "
    assert_one_warning(capfd, told)


def test_a_cell_that_was_taken_out_leaves_no_ghost(published):
    complete()
    content = fake_results.small_content()
    content["cells"] = {name: cell for name, cell in content["cells"].items() if name != CELL}
    content["tables"]["schedules"]["cells"].remove(CELL)
    YAML(typ="safe").dump(fake_results.fitted(content), published / "params.yaml")
    assert complete() == Counts(already=1)
    kinds = (store.CELLS, store.TRAINING, store.PIPELINE)
    latest = {name: only(name)[1].data.tags["latest"] for name in kinds}
    assert latest == {store.TRAINING: "true", store.CELLS: "false", store.PIPELINE: "false"}
