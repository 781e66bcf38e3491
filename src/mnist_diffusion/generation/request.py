"""What somebody asks of a trained run, checked, with everything said that was left unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import FIXED_ETA, ResolvedCell, Sample
from mnist_diffusion.settings.messages import explain

MICRO_BATCH = 21
"""Images per network call. Prime to 10, so that consecutive images of one digit, which are ten
apart, have places of their own in a batch and fill it; see sampling.draw.redraw."""


@dataclass(frozen=True)
class Request:
    """Some images of one run."""

    cell: ResolvedCell
    sample: Sample
    digit: int | None
    """None for all ten in turn, or for whatever comes where nothing is asked of the run."""
    count: int

    @property
    def indices(self) -> range:
        """Whose they are among the images of a sample set: in one, image k is digit k mod 10."""
        if self.digit is None:
            return range(self.count)
        return range(self.digit, 10 * self.count, 10)

    @property
    def parameters(self) -> dict[str, Any]:
        """All that decides the images, besides the weights."""
        seed, batch = self.sample.seed, self.sample.micro_batch
        asked = {"digit": self.digit, "count": self.count, "seed": seed, "micro_batch": batch}
        return {**self.cell.model_dump(), **asked}


def request(
    base: ResolvedCell,
    shared: Sample,
    config: Mapping[str, Any],
    *,
    run: str,
    digit: int | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    count: int = 1,
    seed: int | None = None,
) -> Request:
    """A request; what is None is as in the cell `base`. UserError says in one line what is wrong.

    `config` is that of the run's checkpoint, which knows what was trained.
    """
    labelled = config["run"]["conditioning"] == "class"
    wanted = guidance if guidance is not None else base.guidance if labelled else 0.0
    changed = {"run": run, "guidance": float(wanted)}
    if sampler is not None and sampler != base.sampler:
        changed |= {"sampler": sampler, "eta": FIXED_ETA.get(sampler, 0.0)}
    if steps is not None:
        changed["steps"] = steps
    cell = _checked(base, changed)
    _check_steps(cell.steps, config["train"]["timesteps"])
    _check_digit(digit, cell, labelled)
    if count < 1:
        raise UserError(f"count: got {count}; ask for an image at least")
    own = {"seed": shared.seed if seed is None else seed, "micro_batch": MICRO_BATCH}
    return Request(cell, _checked(shared, own), digit, count)


def _checked(section: Any, changed: Mapping[str, Any]) -> Any:
    """A section of the settings with some values changed, and checked like those of params.yaml."""
    try:
        return type(section).model_validate({**section.model_dump(), **changed})
    except ValidationError as error:
        raise UserError(explain(error, type(section))) from None


def _check_steps(steps: int, timesteps: int) -> None:
    if steps > timesteps:
        raise UserError(f"steps: {steps} exceeds the {timesteps} timesteps of training; give fewer")


def _check_digit(digit: int | None, cell: ResolvedCell, labelled: bool) -> None:
    if not labelled and (digit is not None or cell.guidance):
        what = "digit" if digit is not None else "guidance"
        raise UserError(f"{what}: {cell.run} is unconditional; leave it out or take a class run")
    if digit is None:
        return
    if digit not in range(10):
        raise UserError(f"digit: got {digit}; give one from 0 to 9")
    if not cell.guidance:
        raise UserError("digit: nothing is asked for with guidance 0; raise it, or leave this out")
