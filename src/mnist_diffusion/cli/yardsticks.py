"""`mnist-diffusion yardstick FIGURE`: what others publish too, taken on demand."""

from typing import Annotated

import typer

app = typer.Typer(help="Take a figure that others publish too, on demand.", no_args_is_help=True)


@app.command()
def tstr(
    cell: Annotated[str | None, typer.Option(help="An entry of `cells`; none: headline.")] = None,
    count: Annotated[int, typer.Option(help="Digits, drawn and real.")] = 50_000,
    seeds: Annotated[int, typer.Option(min=2, help="Classifiers on each.")] = 2,
) -> None:
    """Train classifiers on drawn digits and on real ones, and test both on real ones."""
    from mnist_diffusion.yardsticks import tstr as figure

    print(figure.summary(figure.tstr(cell, count, seeds)))


@app.command()
def speedrun() -> None:
    """Time the speedrun by the rules of docs/speedrun.yaml; exit 1 if it misses its target."""
    from mnist_diffusion.yardsticks import speedrun as figure

    record = figure.speedrun()
    print(figure.row(record))
    raise typer.Exit(0 if record.reached else 1)
