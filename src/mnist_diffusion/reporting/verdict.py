"""The front page's numbers, and what a reader must know before quoting any."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_diffusion.reporting.files import Interval
from mnist_diffusion.reporting.ranking import nearest, surest
from mnist_diffusion.reporting.results import Results
from mnist_diffusion.reporting.words import count, one_of, percent


@dataclass(frozen=True)
class Fact:
    """One number of the front page."""

    label: str
    value: str
    note: str
    cell: str | None = None


def facts(results: Results) -> list[Fact]:
    """Lowest relative FD, highest accuracy, what real digits score, and the judge."""
    asked = [cell for cell in results.cells.values() if cell.asks_for_digits]
    real = results.floor.relative_fd
    judge = results.classifier
    measured = f"relative FD{_spread(real)}, {count(results.headline.metrics.n)}"
    shown = [
        Fact("Yardstick: real test digits", percent(real.mean), measured),
        Fact("The judge on real digits", percent(judge.accuracy), f"accuracy, {count(judge.n)}"),
    ]
    if not asked:
        return shown
    closest, most_certain = nearest(asked), surest(asked)
    return [
        Fact(
            f"Lowest relative FD of {len(asked)} class cells",
            percent(closest.metrics.relative_fd),
            f"at {percent(closest.metrics.accuracy or 0)} accuracy, {closest.name}",
            closest.name,
        ),
        Fact(
            f"Highest accuracy of {len(asked)} class cells",
            percent(most_certain.metrics.accuracy or 0),
            f"at {percent(most_certain.metrics.relative_fd)} relative FD, {most_certain.name}",
            most_certain.name,
        ),
        *shown,
    ]


def caveats(results: Results) -> list[str]:
    """What a reader must know before quoting a number."""
    return [
        f"{_trained(results)} Intervals are {100 * results.evidence.level:g} %, by bootstrap over "
        "images: they say how much of a number is the luck of drawing, nothing of the luck of "
        "training. The best is picked from many cells, and so looks better than it is.",
        "FD is the Fréchet distance between features of this repository's own classifier; relative "
        "FD divides it by the trace of the real features' covariance. Neither is comparable with "
        "an Inception FID.",
        "Accuracy is how often that classifier sees the digit that was asked for. Digits are asked "
        "for equally often, while 9.0 to 11.2 % of MNIST are of each class: a small disadvantage "
        "of class cells in FD.",
        f"n = {one_of(cell.metrics.n for cell in results.cells.values())} images a cell. What real "
        "test digits score at the same n is a yardstick, not a bound: FD is measured against the "
        "training digits, which other writers wrote and the judge was trained on, so a model that "
        "repeats training digits could score below it.",
    ]


def seeds(results: Results) -> str:
    """How many training seeds there are, in a few words."""
    count = len({run.settings.seed for run in results.runs.values()})
    return "one training seed" if count == 1 else f"up to {count} training seeds"


def _trained(results: Results) -> str:
    """How many training seeds there are; those of the schedules are not those of all runs."""
    seeds, choices = (
        len({cell.run.settings.seed for cell in results.chosen(table)})
        for table in ("schedules", "ablations")
    )
    if seeds == 1:
        return "One training seed: how much of a difference between runs is luck was not measured."
    single = "; the training choices have but one" if choices == 1 else ""
    return f"{seeds} training seeds of the schedules, each with its own row{single}."


def _spread(real: Interval) -> str:
    """The range over random sets; nothing where there is but one set, or none is seen."""
    low, high = percent(real.low), percent(real.high)
    return "" if low == high else f", {low} to {high} over random sets"
