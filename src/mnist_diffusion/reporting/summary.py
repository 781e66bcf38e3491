"""What the numbers say in a few sentences, computed and never written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import labels
from mnist_diffusion.reporting.labels import SAMPLERS, TABLE_TITLES
from mnist_diffusion.reporting.results import (
    CellResult,
    Cells,
    Results,
    RunResult,
    grouped,
    highest,
    lowest,
)

SOURCE_EPOCHS, SOURCE_STEPS = 10, 1000
CLOCK = "Seconds are the wall clock of the whole stage; n/a where no timing of exactly these "


@dataclass(frozen=True)
class Fact:
    """One number of the front page."""

    label: str
    value: str
    note: str
    cell: str | None = None


@dataclass(frozen=True)
class Extent:
    """One comparison in a sentence; `section` is the anchor of its evidence."""

    text: str
    section: str


def facts(results: Results) -> list[Fact]:
    """Lowest relative FD, highest accuracy, what real digits score, and the classifier."""
    asked = [cell for cell in results.cells.values() if cell.asked]
    real, judge = results.baseline("fd_infinity"), results.classifier
    measured = f"relative FD∞{_range(real)}, {labels.count(results.headline.metrics.n)}"
    known = f"accuracy, {labels.count(judge.n)}"
    shown = [
        Fact("Real-vs-real baseline", labels.percent(real.mean), measured),
        Fact("The classifier on real digits", labels.percent(judge.accuracy), known),
    ]
    if not asked:
        return shown
    closest, surest = lowest(asked), highest(asked, "accuracy")
    accuracy = labels.percent(surest.score("accuracy"))
    of = f"of {len(asked)} class cells"
    at = f"at {labels.percent(closest.score('accuracy'))} accuracy"
    return [
        Fact(f"Lowest relative FD∞ {of}", _fd(closest), f"{at}, {closest.name}", closest.name),
        Fact(
            f"Highest accuracy {of}",
            accuracy,
            f"at {_fd(surest)} relative FD∞, {surest.name}",
            surest.name,
        ),
        *shown,
    ]


def seeds(results: Results) -> str:
    """How many training seeds there are, in a few words."""
    seeds = len({run.settings.seed for run in results.runs.values()})
    return "one training seed" if seeds == 1 else f"{seeds} training seeds"


def _range(real: Spread) -> str:
    """Over random sets; nothing where there is but one set, or none is seen."""
    low, high = labels.percent(real.low), labels.percent(real.high)
    return "" if low == high else f", {low} to {high} over random sets"


def _fd(cell: CellResult) -> str:
    return labels.percent(cell.score("fd_infinity"))


def findings(results: Results) -> list[Extent]:
    """The extent of each comparison that has something to compare."""
    groups: dict[str, Callable[[CellResult], str]] = {
        "schedules": labels.condition,
        "ablations": labels.drawing,
        "samplers": lambda cell: cell.run.name,
        "guidance": lambda cell: cell.run.name,
        "choices": labels.run_and_drawing,
    }
    return [
        Extent(f"{TABLE_TITLES[table]}, {name}: {_extent(own)}.", table)
        for table, group in groups.items()
        for name, own in grouped(results.chosen(table), group).items()
        if len(own) > 1
    ]


def _extent(cells: Cells) -> str:
    """The lowest and the highest, and what else is lowest under the other feature extractor."""
    low, high, other = lowest(cells), highest(cells), lowest(cells, "second_fd_infinity")
    text = f"relative FD∞ from {_fd(low)} ({low.name}) to {_fd(high)} ({high.name})"
    return text if other is low else f"{text}; by the autoencoder's features {other.name} is lowest"


def ablations_note(results: Results) -> str:
    """What to keep in mind when reading the runs against one another."""
    runs = [cell.run for cell in results.chosen("ablations")]
    notes = [f"Each run differs from {runs[0].name} in what is said to be changed."]
    if len({run.settings.seed for run in runs}) == 1:
        notes.append("It is one training seed: small differences settle nothing.")
    return " ".join(notes)


def samplers_note(results: Results) -> str:
    """What the costs are of, and that FD falls as n grows."""
    cells, fewer = results.chosen("samplers"), ""
    machine = f" Timed on {labels.machines(cells)}." if labels.machines(cells) else ""
    if len({cell.metrics.n for cell in cells}) > 1:
        fewer = (
            "FD falls as n grows: a cell of fewer images looks worse here than it is, and is set "
            "against others fairly only in the paired differences. "
        )
    return (
        f"{fewer}Network evaluations per image are counted while drawing. {CLOCK}images is at "
        f"hand.{machine}"
    )


def runs_note(results: Results) -> str:
    """What compares, and how the source's own network was trained."""
    compared = "Last losses compare only where the same loss is minimised under the same schedule."
    return " ".join([compared, f"{CLOCK}weights is at hand.", *_source_runs(results)])


def schedules_note(results: Results) -> str:
    """How training and drawing of the source's own network differ from the source's."""
    chosen = results.chosen("schedules")
    steps = next((cell for cell in chosen if is_source(cell.run)), None)
    drawn = (
        f"It is drawn in {steps.settings.steps} steps of {SAMPLERS[steps.settings.sampler]}, the "
        f"source takes {SOURCE_STEPS:,} of DDPM."
        if steps
        else ""
    )
    return " ".join([*_source_runs(results), drawn]).strip()


def is_source(run: RunResult) -> bool:
    """Whether a run has the source's network and is trained by its recipe."""
    return run.settings.network == "simple" and run.settings.recipe == "source"


def _source_runs(results: Results) -> Iterator[str]:
    """How the training of the source's own network differs from the source's."""
    for run in filter(is_source, results.runs.values()):
        yield (
            f"The run {run.name} has the source's architecture, optimiser and loss, trained for "
            f"{run.epochs:.2f} epochs; the source trains for {SOURCE_EPOCHS}."
        )
