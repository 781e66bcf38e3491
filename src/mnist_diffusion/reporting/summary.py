"""What the numbers say in a few sentences, computed and never written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from mnist_diffusion.evaluation.designs import arms
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.provenance.schemas.artifact import Spread
from mnist_diffusion.reporting import labels
from mnist_diffusion.reporting.results import Results

FACTS = ("fd_infinity", "second_fd_infinity", "class_fd", "accuracy")
"""What is told of the headline."""
SOURCE_EPOCHS = 10
CLOCK = "Seconds are the wall clock of the whole stage; n/a where no timing of exactly these "


@dataclass(frozen=True)
class Fact:
    """One number of the front page."""

    label: str
    value: str
    note: str
    cell: str


def facts(results: Results) -> list[Fact]:
    """How near the headline comes, and how often it is the digit asked for, beside real digits."""
    return [_fact(results, name) for name in FACTS if pd.notna(results.headline.score(name))]


def _fact(results: Results, name: str) -> Fact:
    cell = results.headline
    notes = [f"{labels.ends_text(cell.interval(name))} %", *_of_real(results, name)]
    notes.append(f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{cell.metrics.n:,}")
    value = labels.percent(cell.score(name))
    return Fact(f"Headline, {METRICS[name].title}", value, "; ".join(notes), cell.name)


def _of_real(results: Results, name: str) -> Iterator[str]:
    if name == "accuracy":
        yield f"the classifier on real digits {labels.percent(results.classifier.accuracy)}"
    elif METRICS[name].of_real(results.headline.metrics) is not None:
        real = results.baseline(name)
        yield f"real-vs-real baseline {labels.percent(real.mean)}{_range(real)}"


def repeats(results: Results) -> str:
    """How many trainings differ in nothing but the seed, in a few words."""
    alike = arms({name: run.settings.model_dump() for name, run in results.runs.items()})
    sizes = sorted({len(own) for own in alike.values()})
    if sizes == [1]:
        return "none repeated under another seed"
    return f"{len(alike)} configurations under {' or '.join(map(str, sizes))} seeds each"


def _range(real: Spread) -> str:
    """Over random sets; nothing where there is but one set, or none is seen."""
    low, high = labels.percent(real.low), labels.percent(real.high)
    return "" if low == high else f" ({low} to {high} over random sets)"


def ablations_note(results: Results) -> str:
    """What to keep in mind when reading the runs against one another."""
    first = results.chosen("ablations")[0].run.name
    return (
        f"Each run differs from {first} in what is said to be changed. Each is one training: small "
        "differences settle nothing."
    )


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


def _source_runs(results: Results) -> Iterator[str]:
    """How the training of the source's own network by its recipe differs from the source's."""
    for run in results.runs.values():
        if (run.settings.network, run.settings.recipe) == ("simple", "source"):
            yield (
                f"The run {run.name} has the source's architecture, optimiser and loss, trained "
                f"for {run.epochs:.2f} epochs; the source trains for {SOURCE_EPOCHS}."
            )
