"""A small repository, published for real: every stage in one process, DVC's lock by DVC itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML
from smoke_scale import smoke_params

REPOSITORY = Path(__file__).parents[2]
CELLS = (
    *("linear-uncond", "cosine-class", "cosine-class-g2-snapshot", "latent-class", "grid"),
    "inpaint",
    "few-2",
    "cosine-class-g2",
)
RUNS = ("linear-uncond", "cosine-class", "latent-class", "latent-text")
COUNT = 20
RUN_ALL = """
from dvc.repo import Repo
from mnist_diffusion.distribution.plan import plan
from mnist_diffusion.stages.runner import run_stage
from mnist_diffusion.settings import load_settings
from mnist_diffusion.tracking.sync import sync
for address in plan(Repo()).due:
    run_stage(*address.split("@"))
sync(load_settings())
"""


def build(folder: Path, raw: Path, store: Path, steps: int = 3) -> None:
    """Make the repository, in about half a minute; networks are trained so many steps."""
    ignoring = (".gitignore", "data/.gitignore", "models/.gitignore", ".dvcignore")
    told = ("CITATION.cff", "LICENSE", "README.md")
    for name in (*ignoring, *told, "dvc.yaml", ".dvc/config", "requirements.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(raw, folder / "data/raw", ignore=shutil.ignore_patterns(".gitignore"))
    shutil.copy(store, folder / "mlflow.db")
    write_params(folder / "params.yaml", steps)
    commit(folder, "as it is")
    _run(folder, sys.executable, "-c", RUN_ALL)
    _run(folder, str(Path(sys.executable).with_name("dvc")), "commit", "--force", "--quiet")


def commit(folder: Path, message: str) -> str:
    """Commit all that git does not ignore, in a repository if there is none; the commit's id."""
    _run(folder, "git", "init", "--quiet")
    _run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    _run(folder, "git", *identity, "commit", "--quiet", "-m", message)
    return _run(folder, "git", "rev-parse", "HEAD").strip()


def write_params(path: Path, steps: int = 3) -> None:
    """The smoke scale, smaller still."""
    params = smoke_params()
    params["prepare"].update(train=400, validation=100, test=100)
    params["codecs"] = {"4x7x7": params["codecs"]["4x7x7"]}
    for section in ("codec", "clip"):
        params[section]["recipe"]["steps"] = 3
    params["reference"].update(counts=[COUNT], repeats=2)
    for recipe in ("fast", "student"):
        params["train"]["recipes"][recipe]["steps"] = steps
    params["train"]["log_every"] = 2
    params["sample"].update(count=COUNT, micro_batch=8, latent_batch=12, trajectory_images=3)
    for section, kept in (("runs", RUNS), ("cells", CELLS)):
        params[section] = {name: params[section][name] for name in kept}
    table = {"cells": list(CELLS[1:]), "baselines": [CELLS[1]]}
    params["tables"] = dict.fromkeys(params["tables"], table)
    params["report"]["headline"] = CELLS[-1]
    params["fd_curve"].update(runs=list(RUNS), count=COUNT, steps=2)
    for analysis in params["effects"].values():
        analysis["cells"] = ["cosine-class"]
    short = {"sampler": "ddim", "steps": 4}
    params["trajectories"].update(exact=short, check=short, path=short, count=5, images=9)
    params["trajectories"]["solvers"] = {"ddim-2": {"sampler": "ddim", "steps": 2}}
    params["tstr"].update(cells=[CELLS[1]], epochs=1, seeds=2)
    params["calibration"].update(counts=[COUNT // 2, COUNT], count=COUNT, repeats=2)
    YAML().dump(json.loads(json.dumps(params)), path)


def _run(folder: Path, *command: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
    environment = {**clean, "PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
