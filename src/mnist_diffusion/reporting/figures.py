"""Every figure of the report, by name."""

from __future__ import annotations

from mnist_diffusion.reporting import baseline, curves, judge, losses, pictures, strips
from mnist_diffusion.reporting.results import CellResult, Results
from mnist_diffusion.reporting.style import Figure, look

STRIPS = (strips.guidance, strips.samplers, strips.extremes)


def all_figures(results: Results) -> dict[str, Figure]:
    """Figures by name, drawn in the report's style; the same bytes for the same results."""
    with look():
        charts = [
            curves.schedules(results),
            losses.training(results),
            losses.ablations(results),
            losses.loss_by_timestep(results),
            curves.cost(results),
            curves.guidance(results),
            judge.confusion(results),
            judge.reliability(results),
        ]
    moving, still = pictures.animation(results)
    drawn = [
        pictures.hero(results),
        pictures.noising(results),
        pictures.denoising(results),
        moving,
        still,
        pictures.film(results),
        *(f for f in (strip(results) for strip in STRIPS) if f is not None),
        real_digits(results),
        *(cell_samples(cell) for cell in results.cells.values()),
    ]
    return {figure.name: figure for figure in [*charts, *drawn]}


def real_digits(results: Results) -> Figure:
    """What the models should draw like."""
    return pictures.samples(
        "real",
        "Real digits",
        "The first of each class in MNIST's test set.",
        results.real_images,
        results.real_labels,
    )


def cell_samples(cell: CellResult) -> Figure:
    """The first digits of a cell, unselected."""
    accuracy = cell.metrics.accuracy
    judged = "" if accuracy is None else f", accuracy {100 * accuracy:.1f}\N{NO-BREAK SPACE}%"
    evaluations = cell.manifest.network_evaluations
    trained = f" Drawn by {baseline.brief(cell.run)}." if baseline.is_baseline(cell.run) else ""
    caption = (
        f"Relative FD {100 * cell.metrics.relative_fd:.2f}\N{NO-BREAK SPACE}%{judged}; "
        f"{evaluations} network evaluations an image.{trained}"
    )
    return pictures.samples(cell.name, cell.name, caption, cell.images, cell.labels)
