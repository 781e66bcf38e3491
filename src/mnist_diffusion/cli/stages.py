"""`mnist-diffusion STAGE [NAME]`: what `dvc repro` runs, in the order of the pipeline."""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES, Stage
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.stages.runner import run_stage
from mnist_diffusion.tracking.published import keep_up

app = typer.Typer()


def _named_by_dvc() -> str:
    """The run or cell that DVC is at, which it tells by a variable, as in train@cosine-class."""
    name = os.environ.get("DVC_STAGE", "").rpartition(":")[2].partition("@")[2]
    if not name:
        raise UserError(f"no run or cell given; name one of {paths.PARAMS}")
    return name


def _name(help_text: str) -> object:
    return typer.Argument(help=help_text, default_factory=_named_by_dvc, show_default=False)


RunName = Annotated[str, _name("An entry of `runs` in params.yaml.")]
CellName = Annotated[str, _name("An entry of `cells` in params.yaml.")]


def _run(stage: Stage, name: str | None = None) -> None:
    run_stage(stage.name, name)
    keep_up(stage.name)


def _command(stage: Stage) -> Callable[..., None]:
    def single() -> None:
        _run(stage)

    def for_run(run: RunName) -> None:
        _run(stage, run)

    def for_cell(cell: CellName) -> None:
        _run(stage, cell)

    return {None: single, "run": for_run}.get(stage.per, for_cell)


for _stage in STAGES.values():
    app.command(_stage.name, help=_stage.summary, rich_help_panel="Stages")(_command(_stage))
