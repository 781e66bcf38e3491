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
from functools import partial
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
    """A change at one place of nested mappings and lists; a function as value takes the old one."""

    def change(content: Any) -> None:
        *sections, last = dotted.split("/")
        for section in sections:
            content = content[int(section) if section.isdigit() else section]
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


def _flipped(*place: int) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[place] ^= 1

    return change


def _swapped(images: np.ndarray) -> None:
    images[[3, 7]] = images[[7, 3]]


IMAGES, LABELS = f"{SAMPLES}/images.npy", f"{SAMPLES}/labels.npy"
DRAWN = f"data/samples/{FEW}/images.npy"
ARRAYS: list[tuple[str, str, str, Callable[[np.ndarray], Any]]] = [
    # name, file, what the item says beyond it, the change
    ("one pixel", IMAGES, ": image 17", _flipped(17, 14, 14)),
    ("two images swapped", IMAGES, ": image 7", _swapped),
    ("an image relabelled", LABELS, "", lambda labels: np.put(labels, 5, 6)),
    ("an image added", IMAGES, "", lambda images: np.concatenate([images, images[:1]])),
    ("an image removed", IMAGES, "", lambda images: images[:-1]),
    ("one pixel of a trajectory", f"{SAMPLES}/trajectory.npy", "", _flipped(0, 0, 0, 0)),
    ("one pixel of what a student drew", DRAWN, ": image 17", _flipped(17, 14, 14)),
    ("a beta", f"{MODEL}/betas.npy", "", lambda betas: np.nextafter(betas, 1)),
    ("a pixel of the prepared digits", "data/prepared/train-images.npy", "", _flipped(0, 0, 0)),
    (
        "a label of the prepared digits",
        "data/prepared/train-labels.npy",
        "",
        lambda labels: np.roll(labels, 1),
    ),
]


def _array(path: str, change: Callable[[np.ndarray], Any]) -> Tampering:
    return lambda root: edit_array(root / path, change)


for _name, _path, _beyond, _change in ARRAYS:
    TAMPERINGS[_name] = _array(_path, _change), f"{_path}{_beyond}"

BITS = {
    "a weight, by one bit": f"{MODEL}/weights.safetensors",
    "a weight of a student, by one bit": f"{SCHOOL}/weights.safetensors",
    "the classifier, by one bit": "models/classifier/weights.safetensors",
    "the autoencoder, by one bit": "models/autoencoder/weights.safetensors",
    "a judge that ranks, by one bit": "models/judges/seed-1/weights.safetensors",
    "the reference statistics, by one bit": "data/reference/statistics.safetensors",
}


def _bit(path: str) -> Tampering:
    return lambda root: flip_bit(root / path)


for _name, _path in BITS.items():
    TAMPERINGS[_name] = _bit(_path), _path


def one_pixel(root: Path) -> None:
    TAMPERINGS["one pixel"][0](root)


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


@tampering("a weight of a snapshot, by one bit", f"{MODEL}/snapshots/")
def snapshot(root: Path) -> None:
    flip_bit(min((root / MODEL / "snapshots").iterdir()))


@tampering("a loss of the history", f"{MODEL}/history.csv")
def history(root: Path) -> None:
    lines = (root / MODEL / "history.csv").read_text().splitlines()
    put(root / MODEL / "history.csv", "\n".join([*lines[:-1], lines[-1] + "1", ""]).encode())


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


ROWS = {
    "a number of a table": ("cells", "relative_fd_percent", "0.1"),
    "an interval of a table": ("cells", "relative_fd_low", "0.1"),
    "a digest in a table": ("provenance", "weights", "0" * 64),
    "a time in a table": ("cells", "seconds", "0.1"),
}
for _name, (_table, _column, _cell) in ROWS.items():
    _edit = partial(_edit_row, table=_table, column=_column, value=_cell)
    TAMPERINGS[_name] = _edit, "reports/tables"


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


OTHER_MD5 = "0" * 32 + ".dir"


@tampering("the MD5 of the set in dvc.lock", SAMPLES)
def lock_md5(root: Path) -> None:
    edit_yaml(root / "dvc.lock", set_key(f"stages/sample@{CELL}/outs/0/md5", OTHER_MD5))


@tampering("the MD5 of a dependency in dvc.lock", MODEL)
def lock_dep(root: Path) -> None:
    def change(lock: Any) -> None:
        for dep in lock["stages"][f"sample@{CELL}"]["deps"]:
            if dep["path"] == MODEL:
                dep["md5"] = OTHER_MD5

    edit_yaml(root / "dvc.lock", change)


@tampering("a parameter in dvc.lock", f"params.yaml: cells.{CELL}")
def lock_params(root: Path) -> None:
    key = f"stages/sample@{CELL}/params/params.yaml/cells.{CELL}/guidance"
    edit_yaml(root / "dvc.lock", set_key(key, 3.0))


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
    edit_yaml(root / "params.yaml", set_key("evaluate/level", 0.8))
    key = f"stages/evaluate@{CELL}/params/params.yaml/evaluate/level"
    edit_yaml(root / "dvc.lock", set_key(key, 0.8))


@tampering("another command in dvc.yaml", f"dvc.yaml: sample@{CELL}.cmd")
def command(root: Path) -> None:
    edit_text(root / "dvc.yaml", "cmd: mnist-diffusion sample", "cmd: mnist-diffusion sample --x")


def _sql(root: Path, statements: str) -> None:
    with sqlite3.connect(root / "mlflow.db") as database:
        for statement in statements.split("; "):
            assert database.execute(statement).rowcount > 0


METRIC = "update latest_metrics set value = 0.001 where key = "
STUDENTS = f"select run_uuid from tags where key = 'student' and value = '{STUDENT}'"
STATEMENTS = {
    "a metric": (
        "metric relative_fd",
        f"{METRIC}'relative_fd'; update metrics set value = 0.001 where key = 'relative_fd'",
    ),
    "a metric of the second network": (
        "metric second_relative_fd",
        f"{METRIC}'second_relative_fd'",
    ),
    "the last loss of the training": ("metric loss", f"{METRIC}'loss'"),
    "the last loss of a student": ("metric loss", f"{METRIC}'loss' and run_uuid in ({STUDENTS})"),
    "a param": ("param sampler", "update params set value = 'heun' where key = 'sampler'"),
    "a param of the training": (
        "param learning_rate",
        "update params set value = '0.5' where key = 'learning_rate'",
    ),
    "a param left out": ("param guidance", "delete from params where key = 'guidance'"),
    "a digest": ("tag weights_sha256", "update tags set value = 'ab' where key = 'weights_sha256'"),
}
for _name, (_item, _statements) in STATEMENTS.items():
    TAMPERINGS[f"{_name} in MLflow"] = partial(_sql, statements=_statements), _item


def copy_of(root: Path, target: Path) -> Path:
    """A copy of a repository in no time: hard links, but of what is written in place."""
    written_in_place = {"mlflow.db", "dvc.lock", "params.yaml"}

    def copy(source: str, destination: str) -> object:
        whole = Path(source).name in written_in_place or f"{os.sep}.git{os.sep}" in source
        return shutil.copy(source, destination) if whole else os.link(source, destination)

    return Path(shutil.copytree(root, target, copy_function=copy, symlinks=True))
