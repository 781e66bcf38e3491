"""Trained runs in MLflow's registry: which, once, which is best, and that they draw."""

import base64
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from small_project import wait_until
from tracked import DIRECT, answers, assert_one_warning, closed_port

from mnist_diffusion.files.jsonfile import read_json, write_json
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.generation import drawing
from mnist_diffusion.generation.drawing import request
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.denoisers import DENOISERS
from mnist_diffusion.settings import load_settings
from mnist_diffusion.tracking import models, store, sync

RUN, UNLABELLED = "cosine-class", "linear-uncond"
LATENT = ("latent-class", "latent-text")
STUDENT = "few-steps"
CELL, HEADLINE = "cosine-class", "cosine-class-g2"
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
"""How pickles of all protocols in use begin, and the archives that torch.save makes."""


@pytest.fixture
def unregistered(published, repository, monkeypatch):
    """The files of a small pipeline beside an empty store, as the current folder."""
    for name in ("data", "models", "reports", "params.yaml"):
        copy = shutil.copytree if (published / name).is_dir() else shutil.copy
        copy(published / name, repository / name)
    monkeypatch.chdir(repository)
    return repository


@pytest.fixture
def registered(unregistered):
    assert complete().failed == 0
    return unregistered


def complete():
    return sync.sync(load_settings())


def client():
    return store.open_experiment(store.TRAINING)[0]


def versions():
    found = client().search_model_versions(f"name = '{models.name()}'")
    return {one.tags["run"]: one for one in sorted(found, key=lambda one: int(one.version))}


def aliases():
    return client().get_registered_model(models.name()).aliases


def judge(cell, **scores):
    path = Path(f"reports/metrics/{cell}.json")
    write_json(path, read_json(path) | scores)


def expected(run, **asked):
    """The images that `generate` would draw."""
    settings = load_settings()
    base, config = drawing.usual_cell(settings, run), drawing.trained(run)
    artist = drawing.load(Path(f"models/{run}"), settings.compute, base)
    wanted = request(base, settings.sample, config, run=run, **asked)
    return np.concatenate(list(drawing.batches(artist, wanted)))


def decoded(rows):
    return np.stack([np.asarray(Image.open(BytesIO(base64.b64decode(row["png"])))) for row in rows])


def test_each_run_is_registered_once_with_its_weights(registered):
    found = versions()
    assert set(found) == {RUN, UNLABELLED, *LATENT, STUDENT}
    for run, one in found.items():
        outputs = read_json(Path(f"models/{run}/manifest.json"))["outputs"]
        assert one.tags["weights_sha256"] == outputs["weights_sha256"]
        told = client().get_run(one.run_id).data.tags
        assert told["student" if run == STUDENT else "run"] == run
    numbers = {f"run-{run}": one.version for run, one in found.items()}
    assert aliases() == numbers  # after three steps none is good enough to be best
    assert complete().failed == 0
    assert versions() == found


def test_the_best_follows_the_rule(registered):
    judge(CELL, accuracy=0.99, fd_infinity=0.2, relative_fd=0.2)
    judge(HEADLINE, accuracy=0.97, fd_infinity=0.1, relative_fd=0.3)
    judge(UNLABELLED, accuracy=None, fd_infinity=0.01)
    assert models.best_cell(load_settings()) == (RUN, CELL)
    assert complete().failed == 0
    assert aliases()["best"] == versions()[RUN].version
    judge(HEADLINE, accuracy=0.98)
    settings = load_settings()
    assert models.best_cell(settings) == (RUN, HEADLINE)
    fewer = settings.cells[HEADLINE].model_copy(update={"count": settings.sample.count // 2})
    others = settings.model_copy(update={"cells": settings.cells | {HEADLINE: fewer}})
    assert models.best_cell(others) == (RUN, CELL)  # what moves with n is not held against others
    judge(CELL, accuracy=0.5)
    judge(HEADLINE, accuracy=0.5)
    complete()
    assert "best" not in aliases()


def test_a_model_holds_no_pickle_and_no_source_but_the_script(registered):
    folder = Path(unquote(urlsplit(versions()[RUN].source).path))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "artifacts/weights.safetensors" in files
    assert [file.name for file in files if file.suffix == ".py"] == ["serve.py"]
    assert not [file for file in files if file.suffix in (".pkl", ".pickle", ".pt", ".bin")]
    assert not [file for file in files if file.read_bytes().startswith(PICKLES)]


def test_the_denoiser_is_there_as_onnx_too(registered):
    import mlflow.onnx

    loaded = mlflow.onnx.load_model(f"models:/{models.name()}@run-{RUN}")
    session = onnxruntime.InferenceSession(loaded.SerializeToString())
    network, _ = checkpoint.load(Path(f"models/{RUN}"), DENOISERS)
    x, t, asked = torch.randn(3, 1, 28, 28), torch.tensor([1, 50, 99]), torch.tensor([7, -1, 0])
    with torch.inference_mode():
        told = network(x, t, asked).numpy()
    given = {"x": x.numpy(), "t": t.numpy(), "asked": asked.numpy()}
    assert np.abs(session.run(None, given)[0] - told).max() <= 1e-5
    folder = Path(unquote(urlsplit(versions()["latent-text"].source).path))
    names = {file.name for file in (folder / "onnx").iterdir()}
    assert {"denoiser.onnx", "codec-decoder.onnx", "text-encoder.onnx"} <= names


def test_what_would_be_answered_otherwise_is_another_version(registered, monkeypatch):
    """Fault: `generate` took a new headline, and the served model the old one."""
    before = versions()
    content = read_yaml(Path("params.yaml"))
    content["report"]["headline"] = CELL
    YAML(typ="safe").dump(content, Path("params.yaml"))
    assert complete().failed == 0
    after = versions()
    assert {run: one.version != before[run].version for run, one in after.items()} == {
        RUN: True,
        UNLABELLED: False,  # guidance is nothing to it
        **dict.fromkeys(LATENT, True),
        STUDENT: False,  # it draws in a way of its own
    }
    assert aliases()[f"run-{RUN}"] == after[RUN].version
    monkeypatch.setattr(models, "source_digests", lambda _: {"serve.py": "other code"})
    assert complete().failed == 0
    assert versions()[RUN].version not in (before[RUN].version, after[RUN].version)


def test_pyfunc_draws_what_generate_draws(registered, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow puts the model's code before it
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri())
    mlflow.set_tracking_uri(store.tracking_uri())
    model = mlflow.pyfunc.load_model(f"models:/{models.name()}@run-{RUN}")
    wishes = pd.DataFrame([{"digit": 7, "count": 2, "steps": 2}, {"digit": 3, "seed": 4}])
    rows = model.predict(wishes).to_dict("records")
    assert [(row["request"], row["digit"], row["image"]) for row in rows] == [
        (0, 7, 0),
        (0, 7, 1),
        (1, 3, 0),
    ]
    assert np.array_equal(decoded(rows[:2]), expected(RUN, digit=7, count=2, steps=2))
    assert np.array_equal(decoded(rows[2:]), expected(RUN, digit=3, count=1, seed=4))
    reader = mlflow.pyfunc.load_model(f"models:/{models.name()}@run-latent-text")
    told = {"prompt": "a thick seven", "count": 2}
    rows = reader.predict(pd.DataFrame([told])).to_dict("records")
    assert [row["digit"] for row in rows] == [7, 7]
    assert np.array_equal(decoded(rows), expected("latent-text", **told))
    student = mlflow.pyfunc.load_model(f"models:/{models.name()}@run-{STUDENT}")
    rows = student.predict(pd.DataFrame([{"digit": 4, "steps": 1}])).to_dict("records")
    assert np.array_equal(decoded(rows), expected(STUDENT, digit=4, steps=1))
    with pytest.raises(MlflowException, match="steps: few-steps knows 2 points"):
        student.predict(pd.DataFrame([{"steps": 5}]))
    with pytest.raises(MlflowException, match='prompt: "not" is not understood'):
        reader.predict(pd.DataFrame([{"prompt": "not a seven"}]))
    for wish, word in (
        ({"digit": 10}, "digit: got 10"),
        ({"digit": 2.5}, "digit: got 2.5; it should be a valid integer"),
        ({"digit": "seven"}, "digit: got 'seven'; it should be a valid integer"),
        ({"digt": 7}, "digt: unknown key; did you mean 'digit'"),
        (
            {"digit": 1, "count": 10_000},
            "count: got 10000; it should be less than",
        ),
    ):
        with pytest.raises(MlflowException, match=word):
            model.predict(pd.DataFrame([wish]))


def test_a_model_has_the_snapshots_that_guide_it(registered, monkeypatch):
    """It draws as the headline does, also where that is away from the run's own earlier weights."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    import mlflow.pyfunc
    import pandas as pd

    content = read_yaml(Path("params.yaml"))
    content["report"]["headline"] = "cosine-class-g2-snapshot"
    YAML(typ="safe").dump(content, Path("params.yaml"))
    assert complete().failed == 0
    mlflow.set_tracking_uri(store.tracking_uri())
    model = mlflow.pyfunc.load_model(f"models:/{models.name()}@run-{RUN}")
    rows = model.predict(pd.DataFrame([{"digit": 7, "count": 2}])).to_dict("records")
    drawn = expected(RUN, digit=7, count=2)
    assert np.array_equal(decoded(rows), drawn)
    put_back = content["report"] | {"headline": HEADLINE}
    YAML(typ="safe").dump(content | {"report": put_back}, Path("params.yaml"))
    assert not np.array_equal(expected(RUN, digit=7, count=2), drawn)


def test_weights_that_are_not_the_manifests_are_not_registered(unregistered, capfd):
    other = unregistered / f"models/{UNLABELLED}/weights.safetensors"
    shutil.copy(other, unregistered / f"models/{RUN}/weights.safetensors")
    assert complete().failed == 1
    assert_one_warning(capfd, f"{RUN}: is not registered in MLflow")
    assert set(versions()) == {UNLABELLED, *LATENT, STUDENT}


@pytest.mark.slow
def test_a_served_model_answers_a_post_with_a_digit(registered):
    port = closed_port()
    command = [sys.executable, "-m", "mnist_diffusion", "serve", "--run", RUN, "--port", str(port)]
    server = subprocess.Popen(command, cwd=registered, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port, "ping") or server.poll() is not None, 300)
        rows = post(port, {"digit": 7, "guidance": 2.0, "steps": 2, "seed": 1})["predictions"]
        drawn = expected(RUN, digit=7, guidance=2.0, steps=2, seed=1)
        assert np.array_equal(decoded(rows), drawn)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(port, {"digit": 10})
        told = json.loads(refused.value.read())
        assert refused.value.code == 400
        assert "digit: got 10; give one from 0 to 9" in told["message"]
        assert "stack_trace" not in told
    finally:
        server.terminate()
        server.wait(timeout=30)


def post(port, row):
    content = json.dumps({"dataframe_records": [row]}).encode()
    kind = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", content, kind)
    with DIRECT.open(asked, timeout=120) as answer:
        return json.load(answer)
