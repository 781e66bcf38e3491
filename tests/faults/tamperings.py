"""Ways to make a published repository say what is not so, each with what an audit must name.

Each takes the repository's folder, whose files may be hard links to those of others: nothing is
written in place.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from safetensors.numpy import load_file, save_file

from mnist_diffusion.files.jsonfile import to_text
from mnist_diffusion.provenance.digests import content_digest, image_digests

CELL = "cosine-class-g2"
RUN = "cosine-class"
STUDENT, FEW = "few-steps", "few-2"
"""Taught by RUN, and the cell that it draws."""
SCHOOL = f"models/{STUDENT}"
SAMPLES = f"data/samples/{CELL}"
MODEL = f"models/{RUN}"
MANIFEST = f"{SAMPLES}/manifest.json"
METRICS = f"reports/metrics/{CELL}.json"
COMPARISONS = "reports/comparisons.json"
RANKS = "reports/ranks.json"
CLAIMS = "reports/claims.json"
TRAJECTORIES = "reports/trajectories.json"
JUDGE = "models/judges/seed-1/weights.safetensors"
TSTR = f"reports/tstr/{RUN}.json"

Tampering = Callable[[Path], None]
TAMPERINGS: dict[str, tuple[Tampering, str]] = {}
"""By name: what is done, and a part of the name of the item that must be found to have failed."""


def tampering(name: str, item: str) -> Callable[[Tampering], Tampering]:
    def register(function: Tampering) -> Tampering:
        TAMPERINGS[name] = function, item
        return function

    return register


def put(path: Path, content: bytes) -> None:
    """Write a file anew, whatever it was linked to."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def edit_array(path: Path, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    array = np.load(path)
    changed = change(array)
    path.unlink()
    np.save(path, array if changed is None else changed)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    put(path, to_text(content).encode())


def edit_yaml(path: Path, change: Callable[[Any], None]) -> None:
    yaml = YAML()
    content = yaml.load(path)
    change(content)
    path.unlink()
    yaml.dump(content, path)


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    put(path, text.replace(old, new, 1).encode())


def flip_bit(path: Path) -> None:
    """The lowest bit of one number of one tensor."""
    tensors = load_file(path)
    name = max(tensors)
    tensors[name] = tensors[name].copy()
    tensors[name].view(np.uint8).reshape(-1)[0] ^= 1
    path.unlink()
    save_file(tensors, path)


def set_key(dotted: str, value: Any) -> Callable[[Any], None]:
    """A change of one key of a nested mapping; a function as value takes the old one."""

    def change(content: Any) -> None:
        *sections, last = dotted.split("/")
        for section in sections:
            content = content[section]
        content[last] = value(content.get(last)) if callable(value) else value

    return change


def cached(root: Path, path: str) -> Path:
    """DVC's cached copy of a file of an out that is a folder."""
    folder, _, name = path.rpartition("/")
    stages = YAML(typ="safe").load(root / "dvc.lock")["stages"].values()
    outs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    listing = json.loads(_object(root, outs[folder]).read_text())
    return _object(root, next(entry["md5"] for entry in listing if entry["relpath"] == name))


def _object(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def _one_pixel(images: np.ndarray) -> None:
    images[17, 14, 14] ^= 1


@tampering("one pixel", f"{SAMPLES}/images.npy: image 17")
def one_pixel(root: Path) -> None:
    edit_array(root / SAMPLES / "images.npy", _one_pixel)


@tampering("two images swapped", f"{SAMPLES}/images.npy: image 7")
def swapped(root: Path) -> None:
    def swap(images: np.ndarray) -> None:
        images[[3, 7]] = images[[7, 3]]

    edit_array(root / SAMPLES / "images.npy", swap)


@tampering("an image relabelled", f"{SAMPLES}/labels.npy")
def relabelled(root: Path) -> None:
    edit_array(root / SAMPLES / "labels.npy", lambda labels: np.put(labels, 5, 6))


@tampering("an image added", f"{SAMPLES}/images.npy")
def image_added(root: Path) -> None:
    edit_array(root / SAMPLES / "images.npy", lambda images: np.concatenate([images, images[:1]]))


@tampering("an image removed", f"{SAMPLES}/images.npy")
def image_removed(root: Path) -> None:
    edit_array(root / SAMPLES / "images.npy", lambda images: images[:-1])


@tampering("one pixel of a trajectory", f"{SAMPLES}/trajectory.npy")
def trajectory(root: Path) -> None:
    def change(frames: np.ndarray) -> None:
        frames[0, 0, 0, 0] ^= 1

    edit_array(root / SAMPLES / "trajectory.npy", change)


@tampering("one pixel, and the manifest made to fit", SAMPLES)
def one_pixel_and_manifest(root: Path) -> None:
    one_pixel(root)
    republish(root)


def republish(root: Path) -> None:
    """Digests, manifest and the metrics' name of the images, made anew from what is there."""
    folder = root / SAMPLES
    images, labels = (np.load(folder / f"{key}.npy") for key in ("images", "labels"))
    lines = "".join(f"{line}\n" for line in image_digests(images, labels))
    put(folder / "digests.txt", lines.encode())

    def change(manifest: Any) -> None:
        manifest["files"] = {name: content_digest(root / name) for name in manifest["files"]}
        manifest["outputs"]["images_sha256"] = content_digest(folder / "images.npy")

    edit_json(root / MANIFEST, change)
    digest = content_digest(folder / "images.npy")
    made_from = content_digest(root / MANIFEST)
    edit_json(root / METRICS, set_key("samples_sha256", digest))
    edit_json(root / METRICS, set_key(f"made_from/sample@{CELL}", made_from))


@tampering("a file added", SAMPLES)
def file_added(root: Path) -> None:
    np.save(root / SAMPLES / "more.npy", np.zeros(3))


@tampering("a hidden file added to a model", MODEL)
def hidden_file(root: Path) -> None:
    (root / MODEL / ".hidden").write_text("here")


@tampering("a file removed", SAMPLES)
def file_removed(root: Path) -> None:
    (root / SAMPLES / "trajectory.npy").unlink()


@tampering("the manifest removed", SAMPLES)
def manifest_removed(root: Path) -> None:
    (root / MANIFEST).unlink()


@tampering("a file replaced by a link to its copy", f"{SAMPLES}/images.npy")
def file_linked(root: Path) -> None:
    path, elsewhere = root / SAMPLES / "images.npy", root / ".work/images.npy"
    elsewhere.parent.mkdir(exist_ok=True)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@tampering("the folder replaced by a link to its copy", SAMPLES)
def folder_linked(root: Path) -> None:
    elsewhere = root / ".work/set"
    elsewhere.parent.mkdir(exist_ok=True)
    (root / SAMPLES).rename(elsewhere)
    (root / SAMPLES).symlink_to(elsewhere)


@tampering("a weight, by one bit", f"{MODEL}/weights.safetensors")
def weight(root: Path) -> None:
    flip_bit(root / MODEL / "weights.safetensors")


@tampering("a weight of a snapshot, by one bit", f"{MODEL}/snapshots/")
def snapshot(root: Path) -> None:
    flip_bit(min((root / MODEL / "snapshots").iterdir()))


@tampering("a weight of a student, by one bit", f"{SCHOOL}/weights.safetensors")
def student_weight(root: Path) -> None:
    flip_bit(root / SCHOOL / "weights.safetensors")


@tampering("one pixel of what a student drew", f"data/samples/{FEW}/images.npy: image 17")
def student_pixel(root: Path) -> None:
    edit_array(root / f"data/samples/{FEW}/images.npy", _one_pixel)


@tampering("the classifier, by one bit", "models/classifier/weights.safetensors")
def classifier(root: Path) -> None:
    flip_bit(root / "models/classifier/weights.safetensors")


@tampering("the autoencoder, by one bit", "models/autoencoder/weights.safetensors")
def autoencoder(root: Path) -> None:
    flip_bit(root / "models/autoencoder/weights.safetensors")


@tampering("a judge that ranks, by one bit", JUDGE)
def other_judge(root: Path) -> None:
    flip_bit(root / JUDGE)


@tampering("the reference statistics, by one bit", "data/reference/statistics.safetensors")
def reference(root: Path) -> None:
    flip_bit(root / "data/reference/statistics.safetensors")


@tampering("a beta", f"{MODEL}/betas.npy")
def beta(root: Path) -> None:
    edit_array(root / MODEL / "betas.npy", lambda betas: np.nextafter(betas, 1))


@tampering("a loss of the history", f"{MODEL}/history.csv")
def history(root: Path) -> None:
    lines = (root / MODEL / "history.csv").read_text().splitlines()
    put(root / MODEL / "history.csv", "\n".join([*lines[:-1], lines[-1] + "1", ""]).encode())


@tampering("a pixel of the prepared digits", "data/prepared/train-images.npy")
def prepared(root: Path) -> None:
    def change(images: np.ndarray) -> None:
        images[0, 0, 0] ^= 1

    edit_array(root / "data/prepared/train-images.npy", change)


@tampering("a label of the prepared digits", "data/prepared/train-labels.npy")
def prepared_label(root: Path) -> None:
    edit_array(root / "data/prepared/train-labels.npy", lambda labels: np.roll(labels, 1))


@tampering("a byte of MNIST", "data/raw/train-labels-idx1-ubyte")
def raw(root: Path) -> None:
    path = root / "data/raw/train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    put(path, bytes(content))


FIELDS: list[tuple[str, str, str, Any]] = [
    # file, key, the item that names it, the new value
    (MANIFEST, "schema", ": sample.schema", 1),
    (MANIFEST, "stage", ": stage", "train"),
    (MANIFEST, "name", ": name", "cosine-class"),
    (MANIFEST, "made_from/train@cosine-class", "models/cosine-class/manifest.json", "0" * 64),
    (MANIFEST, "parameters/cell/guidance", ": parameters.cell.guidance", 3.0),
    (MANIFEST, "parameters/cell/guide", ": parameters.cell.guide", "snapshot"),
    (MANIFEST, "parameters/sample/seed", ": parameters.sample.seed", 1),
    (MANIFEST, "parameters/cell/run", ": parameters.cell.run", "linear-uncond"),
    (MANIFEST, "parameters/cell/invented", ": parameters.cell.invented", 1),
    (MANIFEST, "code/sha256", SAMPLES, "0" * 64),
    (MANIFEST, "code/lockfile_sha256", SAMPLES, "0" * 64),
    (MANIFEST, "environment/torch", SAMPLES, "1.0"),
    (MANIFEST, "parameters/training/run/seed", ": parameters.training.run.seed", 7),
    (MANIFEST, "schedule/alpha_bar_last", SAMPLES, 0.5),
    (MANIFEST, "trajectory_timesteps", SAMPLES, [1, 2]),
    (MANIFEST, "network_evaluations", SAMPLES, 1),
    (MANIFEST, "inputs/weights_sha256", SAMPLES, "0" * 64),
    (MANIFEST, "outputs/images_sha256", SAMPLES, "0" * 64),
    (MANIFEST, "outputs/float_sha256", SAMPLES, "0" * 64),
    (MANIFEST, "invented", ": sample.invented", 1),
    (f"{MODEL}/manifest.json", "parameters/recipe/decay", ": parameters.recipe.decay", "none"),
    (f"{MODEL}/manifest.json", "final_loss", MODEL, 0.0),
    (f"{MODEL}/manifest.json", "outputs/weights_sha256", MODEL, "0" * 64),
    (f"{MODEL}/config.json", "recipe/steps", "", 1),
    (f"{SCHOOL}/config.json", "student/points", "", 4),
    (f"{SCHOOL}/manifest.json", "stage", ": stage", "train"),
    (f"{SCHOOL}/manifest.json", "parameters/student/steps", ": parameters.student.steps", 8),
    (f"{SCHOOL}/manifest.json", f"made_from/train@{RUN}", f"{MODEL}/manifest.json", "0" * 64),
    (f"{SCHOOL}/manifest.json", "inputs/teacher_sha256", SCHOOL, "0" * 64),
    ("data/prepared/manifest.json", "parameters/seed", ": parameters.seed", 1),
    ("models/classifier/manifest.json", "parameters/epochs", ": parameters.epochs", 99),
    ("data/reference/manifest.json", "parameters/repeats", ": parameters.repeats", 99),
    ("reports/reference.json", "trace", "", 1.0),
    ("reports/classifier.json", "accuracy", "", 1.0),
    (METRICS, "fd", "", 0.1),
    (METRICS, "accuracy", "", 1.0),
    (METRICS, "confidence", "", 1.0),
    (METRICS, "n", "", 10_000),
    (METRICS, "samples_sha256", "", "0" * 64),
    (METRICS, "classifier_sha256", "", "0" * 64),
    (METRICS, "made_from/classifier", "models/classifier/manifest.json", "0" * 64),
    (METRICS, "second/fd", "", 0.1),
    (METRICS, "floors/kid", "", {"mean": 9.0, "low": 9.0, "high": 9.0}),
    (METRICS, "intervals/kid", "", [8.0, 9.0]),
    (COMPARISONS, "level", "", 0.5),
    (RANKS, "level", "", 0.5),
    (CLAIMS, "level", "", 0.5),
    (CLAIMS, f"made_from/sample@{RUN}", f"data/samples/{RUN}/manifest.json", "0" * 64),
    (TRAJECTORIES, "weights_sha256", "", "0" * 64),
    (TSTR, "accuracy", "", 1.0),
    (TSTR, f"made_from/sample@{RUN}", f"data/samples/{RUN}/manifest.json", "0" * 64),
]


def _field(file: str, key: str, value: Any) -> Tampering:
    return lambda root: edit_json(root / file, set_key(key, value))


for _file, _key, _item, _value in FIELDS:
    _whole = _item if _item and not _item.startswith(":") else f"{_file}{_item}"
    TAMPERINGS[f"{_file}, {_key}"] = _field(_file, _key, _value), _whole


@tampering("the digest of a file in the manifest", f"{SAMPLES}/labels.npy")
def file_digest(root: Path) -> None:
    edit_json(root / MANIFEST, lambda m: m["files"].update({f"{SAMPLES}/labels.npy": "0" * 64}))


@tampering("the manifest reformatted", SAMPLES)
def reformatted(root: Path) -> None:
    put(root / MANIFEST, json.dumps(json.loads((root / MANIFEST).read_text())).encode())


@tampering("a path out of the folder", f"{MANIFEST}: files.data/samples/{CELL}/../../x")
def path_out(root: Path) -> None:
    edit_json(root / MANIFEST, lambda m: m["files"].update({f"{SAMPLES}/../../x": "0" * 64}))


@tampering("a link of the chain left out", f"{MANIFEST}: made_from")
def link_left_out(root: Path) -> None:
    edit_json(root / MANIFEST, lambda manifest: manifest["made_from"].clear())


def _tamper_read_only(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    put(path, bytes(content))
    path.chmod(0o444)


@tampering("DVC's cached images, made read-only again", ".dvc/cache/files/md5")
def cache_object(root: Path) -> None:
    _tamper_read_only(cached(root, f"{SAMPLES}/images.npy"))


@tampering("DVC's cached weights, made read-only again", ".dvc/cache/files/md5")
def cached_weights(root: Path) -> None:
    _tamper_read_only(cached(root, f"{MODEL}/weights.safetensors"))


def _edit_row(root: Path, table: str, column: str, value: str) -> None:
    path = root / f"reports/tables/{table}.csv"
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index(column)
    for k, line in enumerate(lines):
        cells = line.split(",")
        if cells[0] == CELL:
            cells[place] = value
            lines[k] = ",".join(cells)
    put(path, ("\n".join(lines) + "\n").encode())


@tampering("a number of a table", "reports/tables")
def table_number(root: Path) -> None:
    _edit_row(root, "cells", "relative_fd_percent", "0.1")


@tampering("an interval of a table", "reports/tables")
def table_interval(root: Path) -> None:
    _edit_row(root, "cells", "relative_fd_low", "0.1")


@tampering("a digest in a table", "reports/tables")
def table_digest(root: Path) -> None:
    _edit_row(root, "provenance", "weights", "0" * 64)


@tampering("a time in a table", "reports/tables")
def table_time(root: Path) -> None:
    _edit_row(root, "cells", "seconds", "0.1")


@tampering("a row taken out of a table", "reports/tables")
def table_row(root: Path) -> None:
    path = root / "reports/tables/cells.csv"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{CELL},")]
    put(path, ("\n".join(lines) + "\n").encode())


@tampering("a page of the report", "reports/index.html")
def page(root: Path) -> None:
    edit_text(root / "reports/index.html", "</html>", "</html >")


@tampering("the page that draws", "reports/playground.html")
def playground(root: Path) -> None:
    edit_text(root / "reports/playground.html", "</html>", "</html >")


def _stage(address: str) -> Callable[[Any], Any]:
    return lambda lock: lock["stages"][address]


@tampering("the MD5 of the set in dvc.lock", SAMPLES)
def lock_md5(root: Path) -> None:
    def change(lock: Any) -> None:
        _stage(f"sample@{CELL}")(lock)["outs"][0]["md5"] = "0" * 32 + ".dir"

    edit_yaml(root / "dvc.lock", change)


@tampering("the MD5 of a dependency in dvc.lock", MODEL)
def lock_dep(root: Path) -> None:
    def change(lock: Any) -> None:
        for dep in _stage(f"sample@{CELL}")(lock)["deps"]:
            if dep["path"] == MODEL:
                dep["md5"] = "0" * 32 + ".dir"

    edit_yaml(root / "dvc.lock", change)


@tampering("a parameter in dvc.lock", f"params.yaml: cells.{CELL}")
def lock_params(root: Path) -> None:
    def change(lock: Any) -> None:
        params = _stage(f"sample@{CELL}")(lock)["params"]["params.yaml"]
        params[f"cells.{CELL}"]["guidance"] = 3.0

    edit_yaml(root / "dvc.lock", change)


@tampering("a parameter in params.yaml", f"params.yaml: cells.{CELL}")
def params(root: Path) -> None:
    edit_yaml(root / "params.yaml", set_key(f"cells/{CELL}/guidance", 3.0))


@tampering("a parameter of the run in params.yaml", f"params.yaml: runs.{RUN}")
def run_params(root: Path) -> None:
    edit_yaml(root / "params.yaml", set_key(f"runs/{RUN}/seed", 1))


@tampering("the headline of the report in params.yaml", "params.yaml: report")
def headline(root: Path) -> None:
    edit_yaml(root / "params.yaml", set_key("report/headline", RUN))


@tampering("how sure intervals are to be, in params.yaml and dvc.lock", f"{METRICS}: level")
def level(root: Path) -> None:
    def change(lock: Any) -> None:
        params = _stage(f"evaluate@{CELL}")(lock)["params"]["params.yaml"]
        params["evaluate"]["level"] = 0.8

    edit_yaml(root / "params.yaml", set_key("evaluate/level", 0.8))
    edit_yaml(root / "dvc.lock", change)


@tampering("another command in dvc.yaml", f"dvc.yaml: sample@{CELL}.cmd")
def command(root: Path) -> None:
    edit_text(root / "dvc.yaml", "cmd: mnist-diffusion sample", "cmd: mnist-diffusion sample --x")


def _sql(root: Path, statement: str) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        assert database.execute(statement).rowcount > 0


@tampering("a metric in MLflow", "metric relative_fd")
def mlflow_metric(root: Path) -> None:
    _sql(root, "update latest_metrics set value = 0.001 where key = 'relative_fd'")
    _sql(root, "update metrics set value = 0.001 where key = 'relative_fd'")


@tampering("a param in MLflow", "param sampler")
def mlflow_param(root: Path) -> None:
    _sql(root, "update params set value = 'heun' where key = 'sampler'")


@tampering("a digest in MLflow", "tag weights_sha256")
def mlflow_tag(root: Path) -> None:
    _sql(root, "update tags set value = 'ab' where key = 'weights_sha256'")


@tampering("a metric of the second network in MLflow", "metric second_relative_fd")
def mlflow_second(root: Path) -> None:
    _sql(root, "update latest_metrics set value = 0.001 where key = 'second_relative_fd'")


@tampering("a param of the training in MLflow", "param learning_rate")
def mlflow_training(root: Path) -> None:
    _sql(root, "update params set value = '0.5' where key = 'learning_rate'")


@tampering("the last loss of the training in MLflow", "metric loss")
def mlflow_loss(root: Path) -> None:
    _sql(root, "update latest_metrics set value = 0.001 where key = 'loss'")


@tampering("the last loss of a student in MLflow", "metric loss")
def mlflow_student(root: Path) -> None:
    own = f"run_uuid in (select run_uuid from tags where key = 'student' and value = '{STUDENT}')"
    _sql(root, f"update latest_metrics set value = 0.001 where key = 'loss' and {own}")


@tampering("a param taken out of MLflow", "param guidance")
def mlflow_param_gone(root: Path) -> None:
    _sql(root, "delete from params where key = 'guidance'")


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a repository in no time: hard links, but of what is written in place."""
    written_in_place = {"mlflow.db", "dvc.lock", "params.yaml"}

    def copy(source: str, destination: str) -> object:
        whole = Path(source).name in written_in_place or f"{os.sep}.git{os.sep}" in source
        return shutil.copy(source, destination) if whole else os.link(source, destination)

    return Path(shutil.copytree(root, target, copy_function=copy, symlinks=True))
