"""What an edit reruns: real DVC, the real `code`, and stubs in place of all that computes.

A stub writes a digest of what its stage depends on, so that a stage that reruns has other outputs
and all that comes of them reruns too: the most that an edit can cost.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from audited import commit, write_params
from dvc.repo import Repo

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.source import stage_code

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path("src/mnist_diffusion")
COPIED = (
    *("src", "scales", ".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"),
    *("data/.gitignore", "data/README.md", "models/.gitignore", "models/README.md"),
)

CELLS = {
    *(
        "distill",
        "sample",
        "evaluate",
        "fd_curve",
        "compare",
        "trajectories",
        "claims",
        "ranks",
        "tstr",
    ),
    *("adherence", "seams", "report", "playground"),
}
"""All that an edit of drawing reruns."""
FROM_TRAINING = {"train", *CELLS}
FROM_THE_REFERENCE = {
    *("judges", "reference", "fidelity", "evaluate", "fd_curve", "compare", "claims", "ranks"),
    *("calibration", "report", "playground"),
}


OF_WORDS = {
    *("train@latent-text", "sample@grid", "evaluate@grid", "fd_curve@latent-text", "adherence"),
    *("compare", "claims", "ranks", "report", "playground"),
}
"""All that comes of what the one run that reads text has read."""
OF_LATENTS = {
    *("train@latent-class", "sample@latent-class", "evaluate@latent-class"),
    *("fd_curve@latent-class", *OF_WORDS),
}


def appended(text: str) -> Callable[[str], str]:
    return lambda source: f"{source}\n{text}\n"


CODE = appended("EDITED = True")
COMMENT = appended("# EDITED")


def docstring(source: str) -> str:
    """Say more in the docstring of a module."""
    assert source.startswith('"""')
    return source.replace('"""', '"""EDITED ', 1)


EDITS: dict[str, tuple[str, Callable[[str], str], set[str]]] = {
    "a docstring": ("diffusion/predictions.py", docstring, set()),
    "a comment": ("networks/unet.py", COMMENT, set()),
    "guidance": ("diffusion/guidance.py", CODE, CELLS),
    "a timestep sampler": ("diffusion/timesteps.py", CODE, FROM_TRAINING),
    "a loss's weighting": ("diffusion/weightings.py", CODE, FROM_TRAINING),
    "a judge": (
        "networks/judges.py",
        CODE,
        {*("classifier", "autoencoder", "trtr", "tstr", "adherence", "seams"), *FROM_THE_REFERENCE},
    ),
    "a metric": ("evaluation/frechet.py", CODE, FROM_THE_REFERENCE),
    "a codec": ("networks/codecs.py", CODE, {"codec", "latents", "fidelity", *OF_LATENTS}),
    "a caption": ("dataset/grammar.py", CODE, {"captions", "clip", "fidelity", *OF_WORDS}),
    "a chart": ("reporting/pages.py", CODE, {"report"}),
    "a template": ("reporting/templates/style.css", COMMENT, {"report", "playground"}),
    "a tag in MLflow": ("tracking/records.py", CODE, set()),
    "the audit": ("audit/auditor.py", CODE, set()),
    "how a setting is refused": ("settings/messages.py", CODE, set()),
    "which of two settings wins": ("settings/resolve.py", CODE, {"fidelity", *FROM_TRAINING}),
    "a scale": ("../../scales/gpu.yaml", COMMENT, set()),
}


class Project:
    """A copy of the repository with few runs and cells, in which DVC runs stubs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ran: list[str] = []
        self._clean = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_"))}

    def call(self, *command: str) -> str:
        environment = self._clean | {"PYTHONPATH": str(self.folder / "src")}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, **options: Any) -> set[str]:
        """`dvc repro`; the stages that ran."""
        self.ran.clear()
        with chdir(self.folder), Repo() as repo:
            repo.reproduce(run_cache=False, **options)
        return set(self.ran)

    def stages(self) -> set[str]:
        """All that dvc.yaml declares, a run's or a cell's each."""
        with chdir(self.folder), Repo() as repo:
            return {stage.addressing for stage in repo.index.stages}

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        path = self.folder / PACKAGE / file
        path.write_text(change(path.read_text()))

    def write_code(self) -> None:
        """What `code` does, in this process."""
        for stage in set(STAGES) - {"code"}:
            write_json(self.folder / paths.code(stage), stage_code(stage, self.folder / "src"))

    def stub(self, stage: Any, dry: bool = False, run_env: object = None) -> None:
        """In place of DVC's running of a command."""
        self.ran.append(stage.addressing)
        if dry:
            return
        if stage.addressing == "code":
            self.write_code()
            return
        read = [dep.hash_info.value for dep in stage.deps]
        for out in stage.outs:
            path = Path(out.fs_path)
            file = path if path.suffix or "ubyte" in path.name else path / "content"
            file.parent.mkdir(parents=True, exist_ok=True)
            said = f"{stage.addressing} {path} {read}"
            file.write_text(hashlib.sha256(said.encode()).hexdigest())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("reruns") / "repository"
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        here = REPOSITORY / name
        shutil.copytree(here, folder / name) if here.is_dir() else shutil.copy(here, folder / name)
    made = Project(folder)
    made.call("git", "init", "--quiet")
    write_params(folder / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dvc.stage.run.cmd_run", made.stub)
        assert made.repro() == made.stages()
        yield made


def test_the_command_writes_what_the_stub_does(project: Project) -> None:
    project.call(sys.executable, "-m", "mnist_diffusion", "code")
    with chdir(project.folder), Repo() as repo:
        assert repo.status() == {}


def test_nothing_reruns_where_nothing_was_edited(project: Project) -> None:
    assert project.repro() == set()


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_reruns(what: str, project: Project) -> None:
    file, change, names = EDITS[what]
    project.edit(file, change)
    due = names if file.startswith("..") else {"code", *names}
    asked = {one for one in project.stages() if {one, one.partition("@")[0]} & due}
    assert project.repro() == asked


def test_a_fresh_clone_is_up_to_date(project: Project, tmp_path: Path) -> None:
    """What `code` writes is in git, and does not depend on the machine."""
    commit(project.folder, "as it is")
    project.call("git", "clone", "--quiet", str(project.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    # `claims` depends on all of models/, which DVC takes for changed, not missing, if it is there.
    shutil.rmtree(clone.folder / "models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dvc.stage.run.cmd_run", clone.stub)
        assert clone.repro(dry=True, allow_missing=True) == set()
