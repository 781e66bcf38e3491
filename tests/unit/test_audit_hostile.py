"""Nothing that lies on the disk makes the audit raise, wait for ever, or call it proven."""

import os

import pytest
from tamperings import CELL, METRICS, MODEL, SAMPLES, put

from mnist_diffusion.audit.auditor import Auditor

READ_BY_DVC = ["dvc.yaml", "dvc.lock", "params.yaml"]
FILES = [
    "dvc.lock",
    "params.yaml",
    METRICS,
    "reports/reference.json",
    "reports/comparisons.json",
    "reports/tables/cells.csv",
    f"reports/timings/sample@{CELL}.json",
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


QUICK = ("noise", "a list", "a pipe")
"""Of the harms done to a set's manifest; `make test-faults` does all, to all files."""


@pytest.mark.parametrize("harms", [QUICK, pytest.param(tuple(HARMS), marks=pytest.mark.faults)])
def test_a_harmed_manifest_is_a_finding(published_copy, harms):
    harm_and_look(published_copy / SAMPLES / "manifest.json", harms)


@pytest.mark.parametrize("name", READ_BY_DVC)
def test_a_harmed_file_that_dvc_reads_is_a_finding(published_copy, name):
    harm_and_look(published_copy / name, ("deep", "a pipe"))


@pytest.mark.faults
@pytest.mark.parametrize("name", FILES)
def test_a_harmed_file_is_a_finding(published_copy, name):
    harm_and_look(published_copy / name, HARMS)


def harm_and_look(path, harms):
    whole = path.read_bytes()
    for harm in harms:
        HARMS[harm](path)
        auditor = Auditor()
        assert {auditor.audit(CELL).code, auditor.report().code} & {1, 2}, harm
        path.rmdir() if path.is_dir() else path.unlink()
        path.write_bytes(whole)


def test_an_empty_repository_cannot_be_verified(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert Auditor().audit(CELL).code == 2
    assert Auditor().report().code == 2
