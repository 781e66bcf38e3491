"""The claim that importance sampling converges sooner: images and seconds to a given FD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnist_diffusion.reporting.claims.claim import Claim, Datum, Outcome, UntestableError, by_share
from mnist_diffusion.reporting.claims.contrast import views
from mnist_diffusion.reporting.claims.select import changed
from mnist_diffusion.reporting.measures import FdCurve
from mnist_diffusion.reporting.results import CellResult, Results, RunResult
from mnist_diffusion.reporting.words import points

LEAST_SAVING = 0.2


@dataclass(frozen=True)
class Saving:
    """What a run needs to reach an FD, beside what another needed."""

    target: float
    """Relative FD, a fraction."""
    theirs: float
    """Images the other run had seen when it was there."""
    mine: float | None
    """Images this run had seen; None if it never got there."""

    @property
    def share(self) -> float | None:
        """Saved of the other's images; negative if more are needed."""
        return None if self.mine is None else 1 - self.mine / self.theirs


def images_to(progress: FdCurve, target: float) -> float | None:
    """Images until a relative FD is first reached, log-linear between evaluations."""
    images = [point.images for point in progress.points]
    logs = [np.log(point.relative_fd) for point in progress.points]
    wanted = np.log(target)
    if logs[0] <= wanted:
        return float(images[0])
    for k in range(1, len(logs)):
        if logs[k] <= wanted:
            share = (logs[k - 1] - wanted) / (logs[k - 1] - logs[k])
            return float(images[k - 1] + share * (images[k] - images[k - 1]))
    return None


def savings(mine: FdCurve, theirs: FdCurve) -> list[Saving]:
    """At each FD that the other run newly reached in the later half of its training."""
    half = theirs.points[-1].images / 2
    lowest = [min(p.relative_fd for p in theirs.points[: k + 1]) for k in range(len(theirs.points))]
    return [
        Saving(point.relative_fd, point.images, images_to(mine, point.relative_fd))
        for k, point in enumerate(theirs.points)
        if point.images >= half and point.relative_fd == lowest[k]
    ]


def _pair(results: Results) -> tuple[CellResult, CellResult]:
    """The run with importance sampling, and the same with uniform draws, or stratified ones."""
    arguments = results, "the draw of timesteps", "timestep_sampling", "importance"
    try:
        return changed(*arguments, "uniform")
    except UntestableError:
        return changed(*arguments, "stratified")


def _importance(results: Results) -> Outcome:
    cell, rival = _pair(results)
    mine, theirs = (results.evidence.fd_curves[c.run.name] for c in (cell, rival))
    found = savings(mine, theirs)
    if not found:
        raise UntestableError(f"{rival.run.name} reached no new FD in the later half of training")
    held = sum(one.share is not None and one.share >= LEAST_SAVING for one in found)
    usual = rival.run.settings.timestep_sampling
    reason = (
        f"Importance sampling saves at least {100 * LEAST_SAVING:.0f} % of the images at {held} of "
        f"{len(found)} values of FD, against {usual} draws. FD along training is of "
        f"{mine.count:,} images and has no interval; one training seed."
    )
    data = [_datum(one, cell.run, rival.run, cell.name) for one in found]
    data += views(results, cell, rival).data()
    return Outcome(by_share(held, len(found)), reason, data)


def _datum(saving: Saving, mine: RunResult, theirs: RunResult, cell: str) -> Datum:
    label = f"to relative FD {points(saving.target)} %"
    if saving.mine is None or saving.share is None:
        needed = f"not reached, against {saving.theirs:,.0f} images"
        return Datum(label, needed, cell)
    text = f"{saving.mine:,.0f} images against {saving.theirs:,.0f}"
    spent, usual = seconds_per_image(mine), seconds_per_image(theirs)
    if spent is not None and usual is not None:
        text += f"; {spent * saving.mine:,.0f} s against {usual * saving.theirs:,.0f} s"
    return Datum(label, f"{text}; {_saved(saving.share)}", cell)


def _saved(share: float) -> str:
    """A saving in words, or the excess."""
    return f"{100 * abs(share):.0f} % of the images {'saved' if share >= 0 else 'more'}"


def seconds_per_image(run: RunResult) -> float | None:
    """Wall clock of the training by its images, where the sidecar tells of these weights."""
    return None if run.seconds is None else run.seconds / float(run.history["images"].iloc[-1])


CLAIMS = [
    Claim(
        "importance-sampling",
        "Importance sampling of timesteps can speed up convergence by 20–40 %.",
        "Training loop",
        "FD along the training of two runs that differ in the draw of timesteps alone: the images "
        "and seconds that each needs for every FD that the plain run newly reaches in the later "
        f"half of its training. It holds if {100 * LEAST_SAVING:.0f} % of the images are saved "
        "at all of them, fails if at none.",
        _importance,
    )
]
