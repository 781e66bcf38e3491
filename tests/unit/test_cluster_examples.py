"""The examples of cluster/: they parse, fit together, and call what there is."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from mnist_diffusion.cli import every_command
from mnist_diffusion.distribution import workplace

EXAMPLES = Path(__file__).parents[2] / "cluster"
SCRIPTS = ("slurm.sbatch", "ssh.sh")


def pods():
    """Roles of kubernetes.yaml, and the words that their containers are called with."""
    for one in YAML(typ="safe").load_all(EXAMPLES / "kubernetes.yaml"):
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]
            yield pod["metadata"]["labels"]["role"], pod["spec"]["containers"][0]


def calls():
    """Words and options of each call of ours, by what it stands in."""
    for name in SCRIPTS:
        for line in (EXAMPLES / name).read_text().splitlines():
            if found := re.match(r"[^#]*mnist-diffusion ([a-z]\w+\b[^&|]*)", line):
                yield name, found[1]
    yield from (("kubernetes.yaml", " ".join(one["args"])) for _, one in pods())


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one(name):
    subprocess.run(["bash", "-n", EXAMPLES / name], check=True)


def test_commands_and_options_are_there():
    commands, seen = get_command(every_command()).commands, set()
    for place, call in calls():
        word, *rest = call.split()
        options = {name for one in commands[word].params for name in one.opts}
        assert {name for name in rest if name.startswith("--")} <= options, (place, call)
        seen.add((place, word))
    everywhere = {"scheduler", "worker"}
    assert {(name, word) for name in SCRIPTS for word in {*everywhere, "repro"}} <= seen
    assert {("kubernetes.yaml", word) for word in everywhere} <= seen


def test_workers_on_kubernetes_find_their_scheduler():
    (service,) = (
        one
        for one in YAML(typ="safe").load_all(EXAMPLES / "kubernetes.yaml")
        if one["kind"] == "Service"
    )
    port, found = str(service["spec"]["ports"][0]["port"]), {k: v["args"] for k, v in pods()}
    assert service["spec"]["selector"]["role"] == "scheduler"
    assert found["scheduler"][1:] == ["--port", port]
    assert found["worker"][1] == f"tls://{service['metadata']['name']}:{port}"


def test_workers_on_kubernetes_make_their_scratch_themselves():
    """The folder that is mounted is root's, and another user's folder is refused."""
    worker = dict(pods())["worker"]
    scratch = next(one["value"] for one in worker["env"] if one["name"] == workplace.SCRATCH)
    assert str(Path(scratch).parent) in {one["mountPath"] for one in worker["volumeMounts"]}
