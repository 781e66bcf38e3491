"""The whole pipeline, by real `dvc repro` on real digits, in a temporary clone."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import torch
from clones import Clone, new_clone
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML
from safetensors.torch import load_file

from mnist_diffusion import pipeline
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.settings import load_settings


def repro(clone: Clone) -> list[str]:
    """`dvc repro`; the stages that ran."""
    told = clone.run("dvc", "repro", timeout=None)
    return re.findall(r"^Running stage '(.+)'", told, re.MULTILINE)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, raw_mnist: Path) -> Iterator[Clone]:
    folder = tmp_path_factory.mktemp("smoke") / "repository"
    yield new_clone(folder, raw_mnist)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ran(clone: Clone) -> list[str]:
    return repro(clone)


def declared(clone: Clone) -> set[str]:
    """The stages that the clone's params.yaml asks for."""
    with chdir(clone.folder):
        settings = load_settings()
    return {stage.address(name) for stage, name in pipeline.declared(settings)}


def test_one_command_runs_every_stage_once(clone: Clone, ran: list[str]) -> None:
    assert sorted(ran) == sorted(declared(clone))


def test_every_cell_is_published_and_judged(clone: Clone, ran: list[str]) -> None:
    params = YAML(typ="safe").load(clone.folder / "params.yaml")
    for name, cell in params["cells"].items():
        folder = clone.folder / "data/samples" / name
        images, labels = (np.load(folder / f"{key}.npy") for key in ("images", "labels"))
        manifest = json.loads((folder / "manifest.json").read_text())
        metrics = json.loads((clone.folder / f"reports/metrics/{name}.json").read_text())
        count = cell.get("count", params["sample"]["count"])
        assert (images.shape, images.dtype) == ((count, 28, 28), np.uint8)
        student = params["students"].get(cell["run"])  # guided in one call, of its teacher's kind
        run = params["runs"][student["teacher"] if student else cell["run"]]
        asked = run["conditioning"] != "uncond" and cell["guidance"] != 0
        assert ((labels == -1).all()) == (not asked)
        assert manifest["outputs"]["images_sha256"] == array_digest(images)
        assert metrics["samples_sha256"] == array_digest(images)
        assert metrics["n"] == count
        assert metrics["relative_fd"] > metrics["relative_fd_floor"] > 0
        assert (metrics["accuracy"] is None) == (not asked)
        guided_early = cell.get("guide", "label") != "label"
        assert ("guide_weights_sha256" in manifest["inputs"]) == guided_early
        if "guidance_interval" not in cell:
            each = 1 if student or cell["guidance"] in (0, 1) else 2
            assert manifest["network_evaluations"] == each * cell["steps"]


def test_every_run_is_judged_along_its_training(clone: Clone, ran: list[str]) -> None:
    params = YAML(typ="safe").load(clone.folder / "params.yaml")
    for name in params["fd_curve"]["runs"]:
        run = params["runs"][name]
        report = json.loads((clone.folder / f"reports/fd_curve/{name}.json").read_text())
        steps = params["train"]["recipes"][run["recipe"]]["steps"]
        assert [point["step"] for point in report["points"]] == [steps // 2, steps]
        assert all(point["relative_fd"] > report["relative_fd_floor"] for point in report["points"])
        assert len({point["samples_sha256"] for point in report["points"]}) == 2
        trained = load_file(clone.folder / f"models/{name}/weights.safetensors")
        last = load_file(clone.folder / f"models/{name}/snapshots/{steps}.safetensors")
        assert all(torch.equal(trained[key], last[key]) for key in last)


def test_zero_terminal_snr_reaches_the_samples(clone: Clone, ran: list[str]) -> None:
    def last_signal(cell: str) -> float:
        path = clone.folder / f"data/samples/{cell}/manifest.json"
        return float(json.loads(path.read_text())["schedule"]["alpha_bar_last"])

    assert last_signal("cosine-class-ablated") == 0 < last_signal("cosine-class")


def test_the_report_is_there_and_whole(clone: Clone, ran: list[str]) -> None:
    page = (clone.folder / "reports/index.html").read_text(encoding="utf-8")
    readme = (clone.folder / "reports/README.md").read_text(encoding="utf-8")
    table = (clone.folder / "reports/tables/cells.csv").read_text(encoding="utf-8")
    params = YAML(typ="safe").load(clone.folder / "params.yaml")
    for cell in params["cells"]:
        assert cell in page
        assert cell in table
    assert params["report"]["headline"] in readme


def test_every_stage_is_a_run_in_mlflow(clone: Clone, ran: list[str]) -> None:
    client = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")
    found = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id])
    ]
    stages = [run.data.tags["stage"] for run in found]
    made = sorted(name.partition("@")[0] for name in ran)
    assert sorted(stages) == [stage for stage in made if stage not in ("code", "playground")]
    assert {run.info.status for run in found} == {"FINISHED"}
    (cell,) = (r for r in found if r.info.run_name == "cosine-class-g2")
    assert cell.data.params["guidance"] == "2.0"
    assert cell.data.params["schedule"] == "cosine"
    assert cell.data.metrics["relative_fd"] > 0
    assert 0 <= cell.data.metrics["accuracy"] <= 1


def test_a_second_time_nothing_runs_and_nothing_is_dirty(clone: Clone, ran: list[str]) -> None:
    assert repro(clone) == []
    assert "up to date" in clone.run("dvc", "status")


def test_the_audit_proves_all_of_it(clone: Clone, ran: list[str]) -> None:
    """Also a cell of fewer images than the others, which is compared on as many as it has."""
    told = json.loads(clone.run("mnist-diffusion", "audit", "--all", "--json"))
    assert told["verdict"] == told["report"]["verdict"] == "proven"
    assert {audited["verdict"] for audited in told["cells"].values()} == {"proven"}
    counts = YAML(typ="safe").load(clone.folder / "params.yaml")["reference"]["counts"]
    compared = (clone.folder / "reports/tables/comparisons.csv").read_text()
    assert min(counts) < max(counts) and f",{min(counts)},1\n" in compared


def test_a_new_guidance_scale_runs_only_its_own_stages(clone: Clone, ran: list[str]) -> None:
    yaml, path = YAML(), clone.folder / "params.yaml"
    params = yaml.load(path)
    params["cells"]["cosine-class-g3"] = dict(params["cells"]["cosine-class-g2"], guidance=3.0)
    yaml.dump(params, path)
    assert sorted(repro(clone)) == [
        "claims",
        "compare",
        "evaluate@cosine-class-g3",
        "playground",
        "ranks",
        "report",
        "sample@cosine-class-g3",
    ]


def test_a_typo_is_refused_in_one_line_before_anything_runs(clone: Clone, ran: list[str]) -> None:
    path = clone.folder / "params.yaml"
    before = path.read_text()
    path.write_text(before.replace("guidance: 2.0", "guidence: 2.0", 1))
    try:
        refused = clone.call("mnist-diffusion", "check")
    finally:
        path.write_text(before)
    assert refused.returncode == 1
    assert len(refused.stdout.splitlines()) == 1
    assert "guidence" in refused.stdout
    assert "did you mean 'guidance'" in refused.stdout
