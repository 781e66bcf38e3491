"""The command line: `mnist-diffusion STAGE [NAME]`, and what people use beside the pipeline."""

import importlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mnist_diffusion import paths
from mnist_diffusion.errors import UserError
from mnist_diffusion.jsonfile import write_json
from mnist_diffusion.settings import Settings, load_settings
from mnist_diffusion.tracking import flush, note

app = typer.Typer(
    help="Compare diffusion models on MNIST. The stages are run by `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RunName = Annotated[str, typer.Argument(help="An entry of `runs` in params.yaml.")]
CellName = Annotated[str, typer.Argument(help="An entry of `cells` in params.yaml.")]
STAGES = "Stages"
TOOLS = "Tools"
FLUSH_AFTER_SECONDS = 30.0
"""Opening MLflow costs 4 s: too much for each of many short stages, little for one that took long
and should be seen while the pipeline goes on. LAST_STAGE brings the others."""
LAST_STAGE = "report"


@app.command(rich_help_panel=STAGES)
def fetch() -> None:
    """Get the four MNIST files, and accept only the real ones."""
    _run_stage("fetch")


@app.command(rich_help_panel=STAGES)
def prepare() -> None:
    """Split MNIST into training, validation and test digits."""
    _run_stage("prepare")


@app.command(rich_help_panel=STAGES)
def classifier() -> None:
    """Train the judge."""
    _run_stage("classifier")


@app.command(rich_help_panel=STAGES)
def reference() -> None:
    """Measure the real digits, and the floor that they set."""
    _run_stage("reference")


@app.command(rich_help_panel=STAGES)
def train(run: RunName) -> None:
    """Train one denoiser."""
    _run_stage("train", run)


@app.command(rich_help_panel=STAGES)
def sample(cell: CellName) -> None:
    """Draw one sample set."""
    _run_stage("sample", cell)


@app.command(rich_help_panel=STAGES)
def evaluate(cell: CellName) -> None:
    """Judge one sample set."""
    _run_stage("evaluate", cell)


@app.command(rich_help_panel=STAGES)
def report() -> None:
    """Render tables, pictures and pages."""
    _run_stage("report")


@app.command(rich_help_panel=TOOLS)
def check() -> None:
    """Check params.yaml; a typo is told here in a second, before anything runs."""
    load_settings()


@app.command(rich_help_panel=TOOLS)
def scale(
    name: Annotated[str, typer.Argument(help="A file of scales/, without .yaml.")],
    force: Annotated[bool, typer.Option(help="Overwrite edits of params.yaml.")] = False,
) -> None:
    """Put another scale into params.yaml; `git restore params.yaml` goes back."""
    from mnist_diffusion.scales import apply_scale

    apply_scale(name, force)


@app.command(rich_help_panel=TOOLS)
def schedules(
    timesteps: Annotated[int, typer.Option(min=21, max=4000)] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 10,
) -> None:
    """Print the card of every noise schedule: its betas' digest, its ends, where SNR is 1."""
    from mnist_diffusion.provenance.schedule_table import schedule_table

    if steps > timesteps:
        raise UserError(f"--steps: {steps} exceeds the {timesteps} timesteps; give fewer")
    print(schedule_table(timesteps, steps).to_markdown(disable_numparse=True))


@app.command(rich_help_panel=TOOLS)
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Open MLflow on what is there."""
    from mnist_diffusion.tracking.ui import serve

    serve(port)


def main() -> NoReturn:
    """Run a command at the repository's root; the user's mistakes end in one line."""
    try:
        os.chdir(_root())
        # Without it cuBLAS is not deterministic; it is read when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(0)


def _root() -> Path:
    """The nearest folder upwards that holds params.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / paths.PARAMS).exists():
            return folder
    raise UserError(f"{paths.PARAMS}: not found here or above; go to the repository")


def _run_stage(stage: str, name: str | None = None) -> None:
    """Check the settings, run the stage, then time and track it."""
    settings = load_settings()
    _check_name(settings, stage, name)
    module: Any = importlib.import_module(f"mnist_diffusion.stages.{stage}")
    started = time.perf_counter()
    record = module.run(settings, name) if name else module.run(settings)
    seconds = time.perf_counter() - started
    write_json(
        paths.timing(stage, name),
        {
            "seconds": round(seconds, 2),
            "images_per_second": round(record.images / seconds, 1) if record.images else None,
            "tags": dict(record.tags),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
    note(stage, name, record, seconds, settings.scale)
    if seconds > FLUSH_AFTER_SECONDS or stage == LAST_STAGE:
        flush()


def _check_name(settings: Settings, stage: str, name: str | None) -> None:
    known: dict[str, Any] = settings.runs if stage == "train" else settings.cells
    if name is not None and name not in known:
        raise UserError(f"{stage}: {name!r} is not in {paths.PARAMS}; known: {', '.join(known)}")
