"""Nothing that lies on the disk makes the audit raise, wait for ever, or call it proven."""

import os

import pytest
from tamperings import CELL, METRICS, MODEL, SAMPLES, put

from mnist_diffusion.audit.auditor import Auditor
from mnist_diffusion.audit.findings import Severity

FILES = [
    "dvc.lock",
    "params.yaml",
    METRICS,
    "reports/reference.json",
    "reports/tables/cells.csv",
    f"reports/timings/sample@{CELL}.json",
    f"{SAMPLES}/manifest.json",
    f"{SAMPLES}/images.npy",
    f"{SAMPLES}/labels.npy",
    f"{SAMPLES}/digests.txt",
    f"{MODEL}/manifest.json",
    f"{MODEL}/config.json",
    f"{MODEL}/betas.npy",
    f"{MODEL}/history.csv",
    f"{MODEL}/weights.safetensors",
    "models/classifier/manifest.json",
    "data/prepared/manifest.json",
    "data/prepared/train-images.npy",
    "data/reference/statistics.safetensors",
]


QUICK = [f"{SAMPLES}/manifest.json"]


def become_folder(path):
    path.unlink()
    path.mkdir()


def become_pipe(path):
    path.unlink()
    os.mkfifo(path)


def become_broken_link(path):
    path.unlink()
    path.symlink_to("nowhere")


HARMS = {
    "empty": lambda path: put(path, b""),
    "truncated": lambda path: put(path, path.read_bytes()[:-7]),
    "noise": lambda path: put(path, os.urandom(300)),
    "deep": lambda path: put(path, b"[" * 100_000),
    "a list": lambda path: put(path, b"[1, 2]\n"),
    "null": lambda path: put(path, b"null\n"),
    "words for everything": lambda path: put(path, b'{"files": "x", "parameters": 3, "n": {}}\n'),
    "a folder": become_folder,
    "a pipe": become_pipe,
    "a broken link": become_broken_link,
}


SLOW = [pytest.param(name, marks=pytest.mark.faults) for name in FILES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_a_harmed_file_is_a_finding(published_copy, name):
    path = published_copy / name
    whole = path.read_bytes()
    for harm, do in HARMS.items():
        do(path)
        checked = Auditor().audit(CELL)
        assert checked.code in (1, 2), harm
        assert any(f.severity != Severity.NOTE for f in checked.findings)
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_bytes(whole)


def test_an_empty_repository_cannot_be_verified(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert Auditor().audit(CELL).code == 2
