"""`mnist-diffusion TOOL`: what people use beside the pipeline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnist_diffusion.audit.auditor import audit, sign
from mnist_diffusion.audit.certificate import verify
from mnist_diffusion.audit.output import from_there
from mnist_diffusion.audit.show import diff, show
from mnist_diffusion.cli.prune import prune
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import without_avx2
from mnist_diffusion.settings import load_settings

if TYPE_CHECKING:
    from mnist_diffusion.diffusion.schedules import Schedule

app = typer.Typer()
PANEL = "Tools"


@app.command(rich_help_panel=PANEL)
def check() -> None:
    """Check params.yaml; a typo is told here in a second, before anything runs."""
    note = without_avx2(load_settings().compute.instructions)
    if note:
        print(note, file=sys.stderr)


@app.command(rich_help_panel=PANEL)
def scale(
    name: Annotated[str, typer.Argument(help="A file of scales/, without .yaml.")],
    force: Annotated[bool, typer.Option(help="Overwrite edits of params.yaml.")] = False,
) -> None:
    """Put another scale into params.yaml; `git restore params.yaml` goes back."""
    from mnist_diffusion.settings.scales import apply_scale

    apply_scale(name, force)


@app.command(rich_help_panel=PANEL)
def schedules(
    timesteps: Annotated[int, typer.Option(min=21, max=4000)] = 1000,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 10,
) -> None:
    """Print the card of every noise schedule: its betas' digest, its ends, where SNR is 1."""
    import pandas as pd

    from mnist_diffusion.diffusion.schedules import SCHEDULES, zero_terminal_snr

    if steps > timesteps:
        raise UserError(f"--steps: {steps} exceeds the {timesteps} timesteps; give fewer")
    cards = {}
    for name, build in SCHEDULES.items():
        schedule = build(timesteps)
        cards[name] = _card(schedule, steps)
        cards[f"{name}, zero terminal SNR"] = _card(zero_terminal_snr(schedule), steps)
    print(pd.DataFrame(cards).to_markdown(disable_numparse=True))


def _card(schedule: Schedule, steps: int) -> dict[str, str]:
    """A schedule's card, with the signal that a sampler takes for noise at its first step."""
    from mnist_diffusion.diffusion.spacings import SPACINGS
    from mnist_diffusion.provenance.schedule_card import schedule_card

    card = schedule_card(schedule)
    card["betas_sha256"] = str(card["betas_sha256"])[:12]
    for name, spacing in SPACINGS.items():
        first = schedule.level(spacing(schedule, steps)[0])
        card[f"signal at the first of {steps} steps, {name}"] = float(first.alpha)
    shown = {key: "-inf" if value is None else value for key, value in card.items()}
    return {key: f"{one:.4g}" if isinstance(one, float) else str(one) for key, one in shown.items()}


@app.command(rich_help_panel=PANEL)
def repro(
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Stages at a time; else a core or a GPU each.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            envvar="MNIST_DIFFUSION_CLUSTER", help="A scheduler's tls:// address, or its file."
        ),
    ] = None,
    mixed: Annotated[bool, typer.Option("--mixed", help="Take hosts that round apart.")] = False,
) -> None:
    """Do what `dvc repro` does, with independent stages side by side, here or on a cluster."""
    from mnist_diffusion.distribution.repro import repro as bring_up_to_date

    bring_up_to_date(jobs, cluster, mixed)


for _command in (audit, sign, verify, show, diff):
    app.command(rich_help_panel=PANEL)(_command)


@app.command(rich_help_panel=PANEL)
def generate(
    out: Annotated[Path, typer.Argument(help="A .png to write.", callback=from_there)] = Path(
        "digits.png"
    ),
    run: Annotated[
        str | None,
        typer.Option(help="An entry of `runs` in params.yaml; none: that of the headline cell."),
    ] = None,
    digit: Annotated[int | None, typer.Option(help="0 to 9; none: all ten, in columns.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help='In words, such as "a thick seven leaning left"; by a text run.'),
    ] = None,
    guidance: Annotated[float | None, typer.Option(help="How much to insist on it.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Such as ddim or dpm-solver-2.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    count: Annotated[int, typer.Option(help="Images.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Other seeds, other images.")] = None,
    animation: Annotated[
        Path | None,
        typer.Option(help="Also write the denoising: a .gif or .apng.", callback=from_there),
    ] = None,
) -> None:
    """Draw digits with a trained run; what is not said is as in the report's headline cell."""
    from mnist_diffusion.generation.command import generate as draw_and_write

    how = {"guidance": guidance, "sampler": sampler, "steps": steps, "seed": seed}
    print(draw_and_write(out, animation, run, digit=digit, prompt=prompt, count=count, **how))


@app.command(rich_help_panel=PANEL)
def track(
    sync: Annotated[bool, typer.Option(help="Make MLflow complete from the files.")] = True,
) -> None:
    """Make MLflow complete from the files; exit 1 if it lacks something."""
    from mnist_diffusion.tracking.sync import Counts
    from mnist_diffusion.tracking.sync import sync as complete

    counts = complete(load_settings()) if sync else Counts()
    print(counts)
    raise typer.Exit(1 if counts.failed else 0)


@app.command(rich_help_panel=PANEL)
def export(
    folder: Annotated[Path, typer.Argument(help="A folder to make.", callback=from_there)],
) -> None:
    """Write all that is published in the formats that others read: see docs/formats.md."""
    from mnist_diffusion.formats.export import export as write

    write(load_settings(), folder)


app.command(rich_help_panel=PANEL)(prune)


@app.command(rich_help_panel=PANEL)
def ui(port: Annotated[int, typer.Option(min=1, max=65535)] = 5000) -> None:
    """Open MLflow on what is there."""
    from mnist_diffusion.tracking.ui import show_pages

    show_pages(port)


@app.command(rich_help_panel=PANEL)
def serve(
    run: Annotated[str | None, typer.Option(help="An entry of `runs`; none: the best.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5001,
) -> None:
    """Answer requests for digits with pictures, on 127.0.0.1."""
    from mnist_diffusion.tracking.ui import serve_model

    serve_model(run, port)


yardstick = typer.Typer(
    help="Take a figure that others publish too, on demand.", no_args_is_help=True
)


@yardstick.command()
def tstr(
    cell: Annotated[str | None, typer.Option(help="An entry of `cells`; none: headline.")] = None,
    count: Annotated[int, typer.Option(help="Digits, drawn and real.")] = 50_000,
    seeds: Annotated[int, typer.Option(min=2, help="Classifiers on each.")] = 2,
) -> None:
    """Train classifiers on drawn digits and on real ones, and test both on real ones."""
    from mnist_diffusion.yardsticks import tstr as figure

    print(figure.summary(figure.tstr(cell, count, seeds)))


@yardstick.command()
def speedrun() -> None:
    """Time the speedrun by the rules of docs/speedrun.yaml; exit 1 if it misses its target."""
    from mnist_diffusion.yardsticks import speedrun as figure

    record = figure.speedrun()
    print(figure.row(record))
    raise typer.Exit(0 if record.reached else 1)


app.add_typer(yardstick, name="yardstick", rich_help_panel=PANEL)
