"""METRICS, the one table of metrics: what each is called, which way is good, how it is shown.

With the function that computes it, this is all that is said of a metric: judgements, intervals,
comparisons, calibration, tables, charts, tracking and pruning read it here. No torch: whoever shows
a metric need not be able to compute it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

LOOKS = ("blur", "noise", "erosion")
LOSSES = ("dropped-class", "duplicates")
DISTANCES = (*LOOKS, *LOSSES)


@dataclass(frozen=True)
class Metric:
    """One number of a judged sample set."""

    name: str
    title: str
    better: Literal["lower", "higher"] | None
    """None: neither way is good by itself."""
    form: str = "{:.3g}"
    """How a value is shown, in per cent where `percent` says so; "points": two decimals below
    10 %, else one."""
    percent: bool = False
    """A fraction, shown in per cent."""
    kind: Literal["distance", "likeness", "agreement", "certainty", "copies", "ink"] = "distance"
    """distance: of two laws; likeness: by neighbours and kernels; agreement: with the digit asked
    for, null where none was."""
    depends_on_n: bool = False
    """Moves with the number of images alone, FD∞ to second order: never to be compared between sets
    of other sizes."""
    place: tuple[str, ...] = ()
    """Keys to it in a cell's judgement; its name, if empty."""
    real: tuple[str, ...] = ()
    """Keys to what real digits score, in the same judgement; empty: nothing to set beside it."""
    network: Literal["classifier", "autoencoder"] | None = "classifier"
    """Whose features or probabilities it is of; None: it is of pixels."""
    twin: str | None = None
    """The same distance under the other network."""
    compared: bool = False
    """Tested for differences of paired cells."""
    must_detect: tuple[str, ...] = ()
    """The corruptions of real digits that it is there for; empty: it is not put to that test."""
    summary: bool = False
    """Among the few numbers that stand for a cell."""

    @property
    def lower_is_better(self) -> bool:
        return self.better == "lower"

    def of(self, judgement: Any) -> float | None:
        """Its value in a cell's judgement, a model or plain JSON; None where it has none."""
        return _at(judgement, self.place or (self.name,))

    def of_real(self, judgement: Any) -> float | None:
        """What real test digits score on average at the same n; None if nobody has measured."""
        return _at(judgement, self.real) if self.real else None

    def shown(self, value: float) -> str:
        """A value as a reader sees it, without its unit."""
        value = 100 * value if self.percent else value
        if self.form == "points":
            return f"{value:.{2 if abs(value) < 10 else 1}f}"
        return self.form.format(value)


def _likeness(
    name: str,
    better: Literal["lower", "higher"],
    must_detect: tuple[str, ...],
    *,
    title: str = "",
    percent: bool = True,
    depends_on_n: bool = True,
    summary: bool = False,
) -> Metric:
    return Metric(
        name,
        title or name,
        better,
        "points" if percent else "{:.3g}",
        percent=percent,
        kind="likeness",
        depends_on_n=depends_on_n,
        real=("floors", name, "mean"),
        must_detect=must_detect,
        summary=summary,
    )


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "fd_infinity",
            "relative FD∞",
            "lower",
            "{:.2f}",
            percent=True,
            depends_on_n=True,
            real=("floors", "fd_infinity", "mean"),
            twin="second_fd_infinity",
            compared=True,
            must_detect=DISTANCES,
            summary=True,
        ),
        Metric(
            "second_fd_infinity",
            "relative FD∞, autoencoder",
            "lower",
            "points",
            percent=True,
            depends_on_n=True,
            place=("second", "fd_infinity"),
            real=("floors", "second_fd_infinity", "mean"),
            network="autoencoder",
            compared=True,
            must_detect=DISTANCES,
        ),
        Metric(
            "class_fd",
            "class-wise FD∞",
            "lower",
            "points",
            percent=True,
            depends_on_n=True,
            kind="agreement",
            real=("floors", "class_fd", "mean"),
            compared=True,
            summary=True,
        ),
        Metric(
            "fd",
            "FD",
            "lower",
            "{:#.3g}",
            depends_on_n=True,
            real=("fd_floor",),
            twin="second_fd",
        ),
        Metric(
            "relative_fd",
            "relative FD",
            "lower",
            "{:.2f}",
            percent=True,
            depends_on_n=True,
            real=("relative_fd_floor",),
            twin="second_relative_fd",
            must_detect=DISTANCES,
            summary=True,
        ),
        _likeness("kid", "lower", DISTANCES, title="KID", percent=False, depends_on_n=False),
        _likeness("energy", "lower", DISTANCES, title="energy distance", depends_on_n=False),
        Metric(
            "second_fd",
            "FD, autoencoder",
            "lower",
            "{:#.3g}",
            depends_on_n=True,
            place=("second", "fd"),
            real=("second", "fd_floor"),
            network="autoencoder",
        ),
        Metric(
            "second_relative_fd",
            "relative FD, autoencoder",
            "lower",
            "points",
            percent=True,
            depends_on_n=True,
            place=("second", "relative_fd"),
            real=("second", "relative_fd_floor"),
            network="autoencoder",
            must_detect=DISTANCES,
        ),
        _likeness("precision", "higher", LOOKS, summary=True),
        _likeness("recall", "higher", LOSSES, summary=True),
        _likeness("density", "higher", LOOKS, percent=False),
        _likeness("coverage", "higher", DISTANCES),
        Metric(
            "accuracy",
            "accuracy",
            "higher",
            "{:.1f}",
            percent=True,
            kind="agreement",
            compared=True,
            must_detect=("wrong-labels",),
            summary=True,
        ),
        Metric("confidence", "mean confidence", None, "{:.1f}", percent=True, kind="certainty"),
        Metric(
            "copied",
            "nearest digit is a training digit, in pixels",
            None,
            "{:.1f}",
            percent=True,
            kind="copies",
            place=("memorisation", "pixels", "share"),
            real=("memorisation", "pixels", "expected"),
            network=None,
        ),
        Metric(
            "copied_features",
            "nearest digit is a training digit, in features",
            None,
            "{:.1f}",
            percent=True,
            kind="copies",
            place=("memorisation", "features", "share"),
            real=("memorisation", "features", "expected"),
        ),
        Metric(
            "median_distance",
            "median distance to the nearest training digit",
            None,
            "{:.2f}",
            kind="copies",
            place=("memorisation", "median_distance"),
            real=("memorisation", "median_distance_test"),
            network=None,
        ),
        Metric(
            "saturated",
            "full stroke pixels",
            None,
            "{:.1f}",
            percent=True,
            kind="ink",
            place=("pixels", "saturated"),
            real=("pixels", "saturated_real"),
            network=None,
        ),
        Metric(
            "stroke_gap",
            "full stroke pixels, off the real",
            "lower",
            "{:.1f}",
            percent=True,
            kind="ink",
            place=("pixels", "stroke_gap"),
            network=None,
        ),
        Metric(
            "background",
            "background level",
            "lower",
            "{:.2f}",
            percent=True,
            kind="ink",
            place=("pixels", "background"),
            real=("pixels", "background_real"),
            network=None,
        ),
        Metric(
            "mass",
            "ink",
            None,
            "{:.1f}",
            kind="ink",
            place=("pixels", "mass"),
            real=("pixels", "mass_real"),
            network=None,
        ),
    )
}
LIKENESS = tuple(name for name, metric in METRICS.items() if metric.kind == "likeness")
"""Scores by neighbours and kernels."""
COMPARED = tuple(name for name, metric in METRICS.items() if metric.compared)
"""Those of which paired cells are tested for differences."""
CALIBRATED = tuple(name for name, metric in METRICS.items() if metric.must_detect)
"""Those that are tried on corrupted real digits."""
SUMMARY = tuple(name for name, metric in METRICS.items() if metric.summary)
"""The few that stand for a cell."""


def values(judgement: Any) -> dict[str, float]:
    """Every metric that a cell's judgement has a value of, by name."""
    found = {name: metric.of(judgement) for name, metric in METRICS.items()}
    return {name: value for name, value in found.items() if value is not None}


def check(judgement: Any) -> None:
    """ValueError that names the first metric which a cell's judgement does not have."""
    for metric in METRICS.values():
        try:
            metric.of(judgement), metric.of_real(judgement)
        except (KeyError, AttributeError):
            raise ValueError(f"{metric.name}: field required") from None


def _at(content: Any, place: Sequence[str]) -> float | None:
    for key in place:
        content = content[key] if isinstance(content, Mapping) else getattr(content, key)
        if content is None:
            return None
    return float(content)
