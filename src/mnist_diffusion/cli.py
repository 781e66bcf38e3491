"""The command line: `mnist-diffusion STAGE [NAME]`, and what people use beside the pipeline."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from safetensors import SafetensorError

from mnist_diffusion import paths
from mnist_diffusion.errors import UserError, of_the_disk
from mnist_diffusion.settings import load_settings
from mnist_diffusion.stages.runner import run_stage
from mnist_diffusion.tracking import flush

app = typer.Typer(
    help="Compare diffusion models on MNIST. The stages are run by `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


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
OneCell = Annotated[str, typer.Argument(help="An entry of `cells` in params.yaml.")]
STAGES = "Stages"
TOOLS = "Tools"


@app.command(rich_help_panel=STAGES)
def fetch() -> None:
    """Get the four MNIST files, and accept only the real ones."""
    run_stage("fetch")


@app.command(rich_help_panel=STAGES)
def prepare() -> None:
    """Split MNIST into training, validation and test digits."""
    run_stage("prepare")


@app.command(rich_help_panel=STAGES)
def classifier() -> None:
    """Train the judge."""
    run_stage("classifier")


@app.command(rich_help_panel=STAGES)
def extractor() -> None:
    """Train the second network to measure in."""
    run_stage("extractor")


@app.command(rich_help_panel=STAGES)
def reference() -> None:
    """Measure the real digits, and the floor that they set."""
    run_stage("reference")


@app.command(rich_help_panel=STAGES)
def train(run: RunName) -> None:
    """Train one denoiser."""
    run_stage("train", run)


@app.command(rich_help_panel=STAGES)
def sample(cell: CellName) -> None:
    """Draw one sample set."""
    run_stage("sample", cell)


@app.command(rich_help_panel=STAGES)
def evaluate(cell: CellName) -> None:
    """Judge one sample set."""
    run_stage("evaluate", cell)


@app.command(rich_help_panel=STAGES)
def progress(run: RunName) -> None:
    """Judge one run along its training."""
    run_stage("progress", run)


@app.command(rich_help_panel=STAGES)
def compare() -> None:
    """Compare the cells of each table, with verdicts."""
    run_stage("compare")


@app.command(rich_help_panel=STAGES)
def ceiling() -> None:
    """Train a classifier on as few real digits as are drawn."""
    run_stage("ceiling")


@app.command(rich_help_panel=STAGES)
def tstr(cell: CellName) -> None:
    """Train a classifier on one sample set, test it on real digits."""
    run_stage("tstr", cell)


@app.command(rich_help_panel=STAGES)
def calibration() -> None:
    """Put the metrics to the test on real digits."""
    run_stage("calibration")


@app.command(rich_help_panel=STAGES)
def report() -> None:
    """Render tables, pictures and pages."""
    run_stage("report")


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
def parallel(
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Stages at a time; else the cores, 1 with a GPU.")
    ] = None,
) -> None:
    """Do what `dvc repro` does, with independent stages side by side."""
    from mnist_diffusion.parallel import parallel as reproduce

    reproduce(jobs)


@app.command(rich_help_panel=TOOLS)
def audit(
    cells: Annotated[list[str] | None, typer.Argument(help="Cells; none: all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All cells of params.yaml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON on stdout.")] = False,
    regenerate: Annotated[int, typer.Option(min=0, help="Draw so many images again.")] = 0,
    deep: Annotated[bool, typer.Option(help="Draw and judge whole sets again.")] = False,
    seed: Annotated[int | None, typer.Option(help="Which images --regenerate draws.")] = None,
) -> None:
    """Prove what made the sample sets: exit 0 proven, 1 failed, 2 cannot verify."""
    from mnist_diffusion.audit.command import audit as prove

    raise typer.Exit(prove(cells or (), every or not cells, as_json, regenerate, deep, seed))


@app.command(rich_help_panel=TOOLS)
def show(cell: OneCell) -> None:
    """Tell on one screen what made a cell and how it scored."""
    from mnist_diffusion.audit.portrait import show as tell

    raise typer.Exit(tell(cell))


@app.command(rich_help_panel=TOOLS)
def diff(
    one: OneCell, other: Annotated[str, typer.Argument(help="The cell to compare it with.")]
) -> None:
    """Tell which parameters and scores differ between two cells."""
    from mnist_diffusion.audit.portrait import diff as compare

    raise typer.Exit(compare(one, other))


@app.command(rich_help_panel=TOOLS)
def generate(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(help="A .png to write.")] = Path("digits.png"),
    run: Annotated[
        str | None,
        typer.Option(help="An entry of `runs` in params.yaml; none: that of the headline cell."),
    ] = None,
    digit: Annotated[int | None, typer.Option(help="0 to 9; none: all ten, in columns.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How much to insist on it.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Such as ddim or dpm-solver-2.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    count: Annotated[int, typer.Option(help="Images.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Other seeds, other images.")] = None,
    animation: Annotated[
        Path | None, typer.Option(help="Also write the denoising: a .gif or .apng.")
    ] = None,
) -> None:
    """Draw digits with a trained run; what is not said is as in the report's headline cell."""
    from mnist_diffusion.generation.command import generate as draw_and_write

    here: Path = context.obj
    print(
        draw_and_write(
            here / out,
            here / animation if animation else None,
            run,
            digit=digit,
            guidance=guidance,
            sampler=sampler,
            steps=steps,
            count=count,
            seed=seed,
        )
    )


@app.command(rich_help_panel=TOOLS)
def track(
    sync: Annotated[bool, typer.Option(help="Make MLflow complete from the files.")] = False,
) -> None:
    """Log the stages that wait for MLflow; with --sync, all that was ever published here."""
    from mnist_diffusion.results import complete_mlflow

    if not sync:
        flush()
        return
    counts = complete_mlflow()
    print(counts)
    raise typer.Exit(1 if counts.failed else 0)


@app.command(rich_help_panel=TOOLS)
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is shown.")] = False,
) -> None:
    """Show what no run or cell of params.yaml declares any more, and remove it."""
    from mnist_diffusion.pruning import prune as remove

    remove(yes)


@app.command(rich_help_panel=TOOLS)
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Open MLflow on what is there."""
    from mnist_diffusion.results import complete_mlflow
    from mnist_diffusion.tracking.ui import serve

    serve(port, complete=complete_mlflow)


def main() -> NoReturn:
    """Run a command at the repository's root; the user's mistakes end in one line."""
    try:
        here = Path.cwd()
        os.chdir(_root())
        # Without it cuBLAS is not deterministic; it is read when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        app(obj=here)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except (OSError, SafetensorError) as error:  # a full disk, a folder nobody may write to
        print(f"error: {of_the_disk(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            sys.stderr.flush()
            os._exit(INTERRUPTED)  # or Python would wait for the threads that share the work
        raise
    raise SystemExit(0)


def _root() -> Path:
    """The nearest folder upwards that holds params.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / paths.PARAMS).exists():
            return folder
    raise UserError(f"{paths.PARAMS}: not found here or above; go to the repository")
