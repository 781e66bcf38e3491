"""The committed slurm.sbatch on a real Slurm, with trainings, one node of which is lost."""

import re
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from audited import write_params
from clones import Clone, new_clone
from ruamel.yaml import YAML
from slurm import Slurm
from small_project import wait_until

pytestmark = pytest.mark.cluster
STAGES = ("code", "fetch", "prepare", "train")
RUNS, STEPS = ("linear-uncond", "cosine-class"), 120
SLOWED = {
    "training/learner.py": ("SAVE_EVERY_SECONDS = 15.0", "SAVE_EVERY_SECONDS = 1.0"),
    "training/loop.py": ("loss.backward()", "loss.backward(), __import__('time').sleep(0.1)"),
}
"""Edits of the source, so that a training lasts, and is kept, with next to nothing computed."""


@pytest.fixture
def clone(tmp_path: Path, raw_mnist: Path) -> Clone:
    """A project with two slow trainings and what they need."""
    made = new_clone(tmp_path / "plain", raw_mnist)
    for name, (as_it_is, slowed) in SLOWED.items():
        source = made.folder / "src/mnist_diffusion" / name
        assert as_it_is in source.read_text()
        source.write_text(source.read_text().replace(as_it_is, slowed))
    write_params(made.folder / "params.yaml")
    yaml = YAML()
    params = yaml.load(made.folder / "params.yaml")
    params["train"]["recipes"]["fast"]["steps"] = STEPS
    yaml.dump(params, made.folder / "params.yaml")
    stages = yaml.load(made.folder / "dvc.yaml")["stages"]
    stages["train"]["foreach"] = {name: params["runs"][name] for name in RUNS}
    yaml.dump({"stages": {name: stages[name] for name in STAGES}}, made.folder / "dvc.yaml")
    return made


def training_elsewhere(slurm: Slurm, first: str, clone: Clone) -> tuple[str, str] | None:
    """A training whose state is kept, and its node, which is not the job's first."""
    for node in slurm.nodes.keys() - {first}:
        for address in filter(None, map(stage_of, slurm.processes(node))):
            if address.startswith("train@") and kept(clone, address):
                return address, node
    return None


def stage_of(process: psutil.Process) -> str:
    """The stage that a process is at, or nothing."""
    with suppress(psutil.Error):
        return process.environ().get("DVC_STAGE", "").rpartition(":")[2]
    return ""


def kept(clone: Clone, address: str) -> list[Path]:
    return [*(clone.folder / ".dvc/cache/resume").glob(f"{address}/*")]


def test_a_job_that_loses_a_node_gives_what_a_plain_repro_gives(
    slurm: Slurm, clone: Clone, tmp_path: Path
) -> None:
    joined = clone.copy(tmp_path / "joined")
    joined.environment |= {
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "MNIST_DIFFUSION_SCRATCH": str(tmp_path / "scratch"),
    }
    joined.run("mnist-diffusion", "tls")
    script, options = "cluster/slurm.sbatch", ("--nodes=3", "--gpus-per-node=1")
    number = slurm.submit(script, joined.folder, joined.environment, *options)
    wait_until(lambda: slurm.job(number)["JobState"] == "RUNNING")
    first = slurm.job(number)["BatchHost"]
    found: list[tuple[str, str]] = []

    def trains() -> bool:
        found.extend(filter(None, [training_elsewhere(slurm, first, joined)]))
        return bool(found) or slurm.job(number)["JobState"] != "RUNNING"

    wait_until(trains)
    said = joined.folder / f"slurm-{number}.out"
    assert found, said.read_text()
    address, node = found[0]
    slurm.lose(node)
    assert slurm.wait(number) == "COMPLETED", said.read_text()
    told = said.read_text()
    assert "3 at a time" in told and "2 workers" in told and "up to date" in told, told
    log = (joined.folder / f".work/logs/{address}.log").read_text()
    assert re.search(rf"resuming {address} at step [1-9]", log), log
    assert not kept(joined, address)

    clone.run("dvc", "repro", "--quiet")
    places = ("data/prepared", "models")
    assert joined.contents(*places) == clone.contents(*places)
    assert joined.tree("dvc.lock") == clone.tree("dvc.lock")
