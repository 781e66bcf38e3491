"""Which run a training choice departs from, and in what: read off the settings, never written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mnist_diffusion.reporting.results import RunResult

WORDS = {
    "zero_terminal_snr": "terminal SNR",
    "prediction": "network output",
    "weighting": "loss",
    "timestep_sampling": "timesteps",
    "seed": "training seed",
}
"""What a choice is called, where its key is not the word."""


@dataclass(frozen=True)
class Step:
    """A run, the one before it that is most like it, and in what they differ."""

    run: RunResult
    parent: RunResult
    base: RunResult
    changed: list[str]

    @property
    def text(self) -> str | None:
        """What changed, and from which run if that is not the base; None for nothing."""
        if not self.changed:
            return None
        origin = "" if self.parent is self.base else f", from {self.parent.name}"
        return f"{' and '.join(self.changed)}{origin}"


def steps(runs: Sequence[RunResult]) -> list[Step]:
    """How each run comes about from one before it; all start at the first."""
    found = [Step(runs[0], runs[0], runs[0], [])]
    for place, run in enumerate(runs[1:], start=1):
        parent = min(runs[:place], key=lambda other: len(_differing(run, other)))
        found.append(Step(run, parent, runs[0], _differing(run, parent)))
    return found


def note(taken: Sequence[Step]) -> str:
    """What to keep in mind when reading the runs against one another."""
    base, *others = taken
    said = []
    if others:
        exceptions = [_exception(step) for step in others if not _is_plain(step)]
        said.append(
            ", ".join([f"Each run differs from {base.run.name} in one choice", *exceptions])
        )
    if any(step.run.settings.timestep_sampling == "importance" for step in others):
        said.append(
            "Importance sampling also gives up the stratified draw, and draws uniformly until it "
            "has seen every timestep often enough"
        )
    if len({step.run.settings.seed for step in taken}) == 1:
        said.append("It is one training seed: small differences settle nothing")
    return "".join(f"{sentence}. " for sentence in said).strip()


def _is_plain(step: Step) -> bool:
    return step.parent is step.base and len(step.changed) == 1


def _exception(step: Step) -> str:
    what = "" if len(step.changed) == 1 else f" in {' and '.join(step.changed) or 'nothing'}"
    why = ""
    if step.run.settings.zero_terminal_snr and step.parent.settings.weighting == "v":
        why = ", whose loss counts the noisiest levels at all"
    return f"{step.run.name} from {step.parent.name}{what}{why}"


def _differing(one: RunResult, other: RunResult) -> list[str]:
    mine, theirs = one.settings.model_dump(), other.settings.model_dump()
    return [WORDS.get(key, key) for key in mine if mine[key] != theirs[key]]
