"""`mnist-diffusion STAGE [NAME]`: what `dvc repro` runs, in the order of the pipeline."""

import os
from collections.abc import Callable

import typer

from mnist_diffusion.distribution.bundle import COPY
from mnist_diffusion.distribution.launch import share_out
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import STAGES, Stage
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.ranks import rank
from mnist_diffusion.stages.runner import run_stage

app = typer.Typer()


def _named_by_dvc() -> str:
    """The run or cell that DVC is at, which it tells by a variable, as in train@cosine-class."""
    name = os.environ.get("DVC_STAGE", "").rpartition(":")[2].partition("@")[2]
    if not name:
        raise UserError(f"no codec, run or cell given; name one of {paths.PARAMS}")
    return name


def _run(stage: Stage, name: str | None = None) -> None:
    share_out()
    run_stage(stage.name, name)
    if rank() or COPY in os.environ:
        return
    from mnist_diffusion.tracking.sync import keep_up  # here, since torch takes a second

    keep_up(stage.name)


def _command(stage: Stage) -> Callable[..., None]:
    argument = typer.Argument(
        default_factory=_named_by_dvc,
        show_default=False,
        metavar=stage.kind.upper(),
        help=f"An entry of `{stage.kind}s` in {paths.PARAMS}; under DVC, the one that it is at.",
    )

    def single() -> None:
        _run(stage)

    def one_of_many(name: str = argument) -> None:
        _run(stage, name)

    return one_of_many if stage.per else single


for _stage in STAGES.values():
    app.command(_stage.name, help=_stage.summary, rich_help_panel="Stages")(_command(_stage))
