"""What the numbers say in a few sentences, computed and never written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from mnist_diffusion.evaluation.designs import arms
from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.reporting.labels import ends_text, percent
from mnist_diffusion.reporting.results import CellResult, Results

FACTS = ("fd_infinity", "second_fd_infinity", "class_fd", "accuracy")
"""What is told of the headline."""
SOURCE_EPOCHS = 10
CLOCK = "Seconds are the wall clock of the whole stage; n/a where no timing of exactly these "


def facts(results: Results) -> list[dict[str, str]]:
    """How near the headline comes, and how often it is the digit asked for, beside real digits."""
    cell = results.headline
    return [
        {
            "label": f"Headline, {METRICS[name].title}",
            "value": percent(cell.score(name)),
            "note": "; ".join(_notes(results, name)),
        }
        for name in FACTS
        if not isnan(cell.score(name))
    ]


def _notes(results: Results, name: str) -> Iterator[str]:
    """The interval, what real digits score where that is known, and n."""
    metrics = results.headline.metrics
    yield f"{ends_text(results.headline.interval(name))} %"
    if name == "accuracy":
        yield f"the classifier on real digits {percent(results.classifier.accuracy)}"
    elif METRICS[name].of_real(metrics) is not None:
        mean, low, high = (percent(value) for _, value in results.baseline(name))
        spread = "" if low == high else f" ({low} to {high} over random sets)"
        yield f"real-vs-real baseline {mean}{spread}"
    yield f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{metrics.n:,}"


def repeats(results: Results) -> str:
    """How many trainings differ in nothing but the seed, in a few words."""
    alike = arms({name: run.settings.model_dump() for name, run in results.runs.items()})
    sizes = sorted({len(own) for own in alike.values()})
    if sizes == [1]:
        return "none repeated under another seed"
    return f"{len(alike)} configurations under {' or '.join(map(str, sizes))} seeds each"


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
    if len({cell.metrics.n for cell in cells}) > 1:
        fewer = (
            "FD falls as n grows: a cell of fewer images looks worse here than it is, and is set "
            "against others fairly only in the paired differences. "
        )
    machines = dict.fromkeys(_machine(cell) for cell in cells if not isnan(cell.seconds))
    timed = f" Timed on {'; '.join(machines)}." if machines else ""
    return (
        f"{fewer}Network evaluations per image are counted while drawing. {CLOCK}images is at "
        f"hand.{timed}"
    )


def _machine(cell: CellResult) -> str:
    """Where a cell was drawn."""
    made = cell.manifest.environment
    if made["device"].startswith("cuda"):
        return made["gpu"]
    return f"{made['cpu']}, threads: {cell.threads}" if cell.threads else made["cpu"]


def runs_note(results: Results) -> str:
    """What compares, and how the training of the source's own network differs from the source's."""
    told = ["Last losses compare only where the same loss is minimised under the same schedule."]
    told.append(f"{CLOCK}weights is at hand.")
    told += [
        f"The run {run.name} has the source's architecture, optimiser and loss, trained "
        f"for {run.epochs:.2f} epochs; the source trains for {SOURCE_EPOCHS}."
        for run in results.runs.values()
        if (run.settings.network, run.settings.recipe) == ("simple", "source")
    ]
    return " ".join(told)
