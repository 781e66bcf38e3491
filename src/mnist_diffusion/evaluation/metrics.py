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


def _distance(name: str, title: str, form: str = "points", **others: Any) -> Metric:
    """A fraction that must see whatever is wrong, unless `others` say otherwise."""
    usual = {"percent": True, "depends_on_n": True, "real": ("floors", name, "mean")}
    return Metric(name, title, "lower", form, **{"must_detect": DISTANCES, **usual, **others})


def _likeness(
    name: str, better: Literal["lower", "higher"], must_detect: tuple[str, ...], **others: Any
) -> Metric:
    usual = {"title": name, "form": "points", "percent": True, "depends_on_n": True}
    own = {"kind": "likeness", "must_detect": must_detect, "real": ("floors", name, "mean")}
    return Metric(name, better=better, **{**usual, **own, **others})


def _under_autoencoder(key: str) -> dict[str, Any]:
    """Where such a distance stands."""
    return {"place": ("second", key), "network": "autoencoder"}


def _copies(name: str, what: str, **others: Any) -> Metric:
    title = f"nearest digit is a training digit, in {what}"
    place, real = (("memorisation", what, key) for key in ("share", "expected"))
    more = {"kind": "copies", "place": place, "real": real, **others}
    return Metric(name, title, None, "{:.1f}", percent=True, **more)


def _ink(name: str, title: str, better: Literal["lower"] | None, **others: Any) -> Metric:
    usual = {"form": "{:.1f}", "percent": True, "real": ("pixels", f"{name}_real")}
    own = {"kind": "ink", "place": ("pixels", name), "network": None}
    return Metric(name, title, better, **{**usual, **own, **others})


METRICS = {
    metric.name: metric
    for metric in (
        _distance(
            "fd_infinity", "relative FD∞", "{:.2f}",
            twin="second_fd_infinity", compared=True, summary=True,
        ),
        _distance(
            "second_fd_infinity", "relative FD∞, autoencoder",
            **_under_autoencoder("fd_infinity"), compared=True,
        ),
        _distance(
            "class_fd", "class-wise FD∞",
            kind="agreement", must_detect=(), compared=True, summary=True,
        ),
        _distance(
            "fd", "FD", "{:#.3g}",
            percent=False, must_detect=(), real=("fd_floor",), twin="second_fd",
        ),
        _distance(
            "relative_fd", "relative FD", "{:.2f}",
            real=("relative_fd_floor",), twin="second_relative_fd", summary=True,
        ),
        _likeness(
            "kid", "lower", DISTANCES,
            title="KID", form="{:.3g}", percent=False, depends_on_n=False,
        ),
        _likeness("energy", "lower", DISTANCES, title="energy distance", depends_on_n=False),
        _distance(
            "second_fd", "FD, autoencoder", "{:#.3g}",
            **_under_autoencoder("fd"), percent=False, must_detect=(), real=("second", "fd_floor"),
        ),
        _distance(
            "second_relative_fd", "relative FD, autoencoder",
            **_under_autoencoder("relative_fd"), real=("second", "relative_fd_floor"),
        ),
        _likeness("precision", "higher", LOOKS, summary=True),
        _likeness("recall", "higher", LOSSES, summary=True),
        _likeness("density", "higher", LOOKS, form="{:.3g}", percent=False),
        _likeness("coverage", "higher", DISTANCES),
        Metric(
            "accuracy", "accuracy", "higher", "{:.1f}", percent=True,
            kind="agreement", compared=True, must_detect=("wrong-labels",), summary=True,
        ),
        Metric("confidence", "mean confidence", None, "{:.1f}", percent=True, kind="certainty"),
        _copies("copied", "pixels", network=None),
        _copies("copied_features", "features"),
        Metric(
            "median_distance", "median distance to the nearest training digit", None, "{:.2f}",
            kind="copies", network=None, place=("memorisation", "median_distance"),
            real=("memorisation", "median_distance_test"),
        ),
        _ink("saturated", "full stroke pixels", None),
        _ink("stroke_gap", "full stroke pixels, off the real", "lower", real=()),
        _ink("background", "background level", "lower", form="{:.2f}"),
        _ink("mass", "ink", None, percent=False),
    )
}  # fmt: skip
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
