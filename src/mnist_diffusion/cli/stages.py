"""`mnist-diffusion STAGE [NAME]`: what `dvc repro` runs, in the order of the pipeline."""

import os
from typing import Annotated

import typer

from mnist_diffusion import paths
from mnist_diffusion.errors import UserError
from mnist_diffusion.stages.runner import run_stage

app = typer.Typer()
PANEL = "Stages"


def _named_by_dvc() -> str:
    """The run or cell that DVC is at, which it tells by a variable, as in train@cosine-class."""
    name = os.environ.get("DVC_STAGE", "").rpartition(":")[2].partition("@")[2]
    if not name:
        raise UserError(f"no run or cell given; name one of {paths.PARAMS}")
    return name


RunName = Annotated[
    str,
    typer.Argument(
        help="An entry of `runs` in params.yaml.", default_factory=_named_by_dvc, show_default=False
    ),
]
CellName = Annotated[
    str,
    typer.Argument(
        help="An entry of `cells` in params.yaml.",
        default_factory=_named_by_dvc,
        show_default=False,
    ),
]


@app.command(rich_help_panel=PANEL)
def fetch() -> None:
    """Get the four MNIST files, and accept only the real ones."""
    run_stage("fetch")


@app.command(rich_help_panel=PANEL)
def prepare() -> None:
    """Split MNIST into training, validation and test digits."""
    run_stage("prepare")


@app.command(rich_help_panel=PANEL)
def classifier() -> None:
    """Train the judge."""
    run_stage("classifier")


@app.command(rich_help_panel=PANEL)
def extractor() -> None:
    """Train the second network to measure in."""
    run_stage("extractor")


@app.command(rich_help_panel=PANEL)
def reference() -> None:
    """Measure the real digits, and the floor that they set."""
    run_stage("reference")


@app.command(rich_help_panel=PANEL)
def train(run: RunName) -> None:
    """Train one denoiser."""
    run_stage("train", run)


@app.command(rich_help_panel=PANEL)
def sample(cell: CellName) -> None:
    """Draw one sample set."""
    run_stage("sample", cell)


@app.command(rich_help_panel=PANEL)
def evaluate(cell: CellName) -> None:
    """Judge one sample set."""
    run_stage("evaluate", cell)


@app.command(rich_help_panel=PANEL)
def progress(run: RunName) -> None:
    """Judge one run along its training."""
    run_stage("progress", run)


@app.command(rich_help_panel=PANEL)
def compare() -> None:
    """Compare the cells of each table, with verdicts."""
    run_stage("compare")


@app.command(rich_help_panel=PANEL)
def ceiling() -> None:
    """Train a classifier on as few real digits as are drawn."""
    run_stage("ceiling")


@app.command(rich_help_panel=PANEL)
def tstr(cell: CellName) -> None:
    """Train a classifier on one sample set, test it on real digits."""
    run_stage("tstr", cell)


@app.command(rich_help_panel=PANEL)
def calibration() -> None:
    """Put the metrics to the test on real digits."""
    run_stage("calibration")


@app.command(rich_help_panel=PANEL)
def report() -> None:
    """Render tables, pictures and pages."""
    run_stage("report")
