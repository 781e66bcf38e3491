"""STAGES, the one table of stages: what each is for, and where what it publishes lies.

With a stage's file in `stages/` and its entry in dvc.yaml, this is all that is said of it: the
command line, locks, sidecars, tracking, pruning and the audit read it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mnist_diffusion.files import paths
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings

MANIFEST = "manifest.json"


Per = Literal["codec", "run", "student", "cell", "tstr", "adherence", "seams", "fd_curve"]
PER: Mapping[Per, tuple[str, Callable[[Settings], Iterable[str]]]] = {
    "codec": ("codec", lambda settings: settings.codecs),
    "run": ("run", lambda settings: settings.runs),
    "student": ("student", lambda settings: settings.students),
    "cell": ("cell", lambda settings: settings.cells),
    "tstr": ("cell", lambda settings: settings.tstr.cells),
    "adherence": ("cell", lambda settings: settings.adherence.cells),
    "seams": ("cell", lambda settings: settings.seams.cells),
    "fd_curve": ("run", lambda settings: settings.fd_curve.runs),
}
"""What a stage may be one for each of: what each is, and the names that params.yaml declares."""


@dataclass(frozen=True)
class Outcome:
    """What a stage that has ended says of its work; all else stands in what it published."""

    images: int | None = None
    """How many it worked through, those of earlier attempts included; None: it has no rate."""
    earlier_seconds: float = 0.0
    """What earlier attempts of a resumed run took."""


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml."""

    name: str
    summary: str
    """One line for --help."""
    per: Per | None = None
    """One for each codec, run, student or cell, or for each of what the section of that name lists;
    None: a single one."""
    folder: Callable[[str], Path] | None = None
    """Where it publishes a folder with a manifest; the argument is the run or cell, or ""."""
    report: Callable[[str], Path] | None = None
    """The JSON it publishes beside, or in place of, a folder."""

    shared: bool = False
    """Whether torchrun may start it as several processes, which share its work."""
    pictures: Callable[[str], Path] | None = None
    """An array of digits to look at, which the report digests."""

    def address(self, name: str | None = None) -> str:
        """As DVC calls it: `prepare`, `train@cosine-class`."""
        return f"{self.name}@{name}" if name else self.name

    def published(self, name: str | None = None) -> Path | None:
        """The file that says what was made, written last; None for code, fetch and the pages."""
        if self.folder:
            return self.folder(name or "") / MANIFEST
        return self.report(name or "") if self.report else None

    @property
    def kind(self) -> str:
        """What its names are those of: codec, run, student or cell; empty for a single one."""
        return PER[self.per][0] if self.per else ""

    def names(self, settings: Settings) -> Iterable[str | None]:
        """What params.yaml declares for it, such as runs; a single None if it is one."""
        return PER[self.per][1](settings) if self.per else [None]

    def check_name(self, settings: Settings, name: str | None) -> None:
        """UserError for a run or cell that params.yaml does not have."""
        known = self.names(settings)
        if name not in known:
            names = ", ".join(str(one) for one in known)
            raise UserError(f"{self.name}: {name!r} is not in {paths.PARAMS}; known: {names}")


def _at(place: Path) -> Callable[[str], Path]:
    """Of a single stage: the same for any name."""
    return lambda _: place


STAGES = {
    stage.name: stage
    for stage in (
        Stage("code", "Write down the digests of what each stage is made of."),
        Stage("fetch", "Get the four MNIST files, and accept only the real ones."),
        Stage(
            "prepare",
            "Split MNIST into training, validation and test digits.",
            folder=_at(paths.PREPARED),
        ),
        Stage(
            "classifier",
            "Train the judge.",
            folder=_at(paths.CLASSIFIER),
            report=_at(paths.CLASSIFIER_REPORT),
        ),
        Stage(
            "autoencoder",
            "Train the second network to measure in.",
            folder=_at(paths.AUTOENCODER),
            report=_at(paths.AUTOENCODER_REPORT),
        ),
        Stage(
            "judges", "Train the other judges, which rank the cells too.", folder=_at(paths.JUDGES)
        ),
        Stage(
            "reference",
            "Measure the real digits, and the real-vs-real baseline.",
            folder=_at(paths.REFERENCE),
            report=_at(paths.REFERENCE_REPORT),
        ),
        Stage("codec", "Train one codec into latent space.", per="codec", folder=paths.codec),
        Stage(
            "latents", "Encode the training digits by a codec.", per="codec", folder=paths.latents
        ),
        Stage(
            "fidelity",
            "Measure what a codec costs real digits.",
            per="codec",
            report=paths.fidelity,
            pictures=paths.reconstructions,
        ),
        Stage(
            "captions", "Measure what captions can say of every digit.", folder=_at(paths.CAPTIONS)
        ),
        Stage(
            "clip",
            "Train text and image encoder on captions of digits.",
            folder=_at(paths.CLIP),
            report=_at(paths.CLIP_REPORT),
        ),
        Stage("train", "Train one denoiser.", per="run", folder=paths.model, shared=True),
        Stage(
            "distill",
            "Teach a student to draw in few steps what its teacher draws in many.",
            per="student",
            folder=paths.model,
        ),
        Stage("sample", "Draw one sample set.", per="cell", folder=paths.samples),
        Stage("evaluate", "Judge one sample set.", per="cell", report=paths.metrics),
        Stage(
            "fd_curve",
            "Judge one run along its training.",
            per="fd_curve",
            report=paths.fd_curve,
            pictures=paths.snapshots,
        ),
        Stage(
            "adherence",
            "Measure whether one sample set looks as it was asked to.",
            per="adherence",
            report=paths.adherence,
        ),
        Stage(
            "seams",
            "Measure how well drawn halves of digits go with the real ones.",
            per="seams",
            report=paths.seams,
        ),
        Stage(
            "compare",
            "Compare the cells of each table, with verdicts.",
            report=_at(paths.COMPARISONS),
        ),
        Stage("ranks", "Rank the cells by every judge.", report=_at(paths.RANKS)),
        Stage(
            "trajectories",
            "Follow solvers along their paths: their errors, and what settles when.",
            report=_at(paths.TRAJECTORIES),
        ),
        Stage(
            "claims",
            "Tell what training does by trainings, and judge every claim.",
            report=_at(paths.CLAIMS),
        ),
        Stage(
            "trtr", "Train a classifier on as few real digits as are drawn.", report=_at(paths.TRTR)
        ),
        Stage(
            "tstr",
            "Train a classifier on one sample set, test it on real digits.",
            per="tstr",
            report=paths.tstr,
        ),
        Stage(
            "calibration",
            "Put the metrics to the test on real digits.",
            report=_at(paths.CALIBRATION),
        ),
        Stage("report", "Render tables, pictures and pages."),
        Stage("playground", "Render the page that draws."),
    )
}


def parse_address(address: str) -> tuple[Stage, str | None]:
    """What DVC calls so: the stage, and its run or cell if it is one of many."""
    stage, _, name = address.partition("@")
    return STAGES[stage], name or None


def declared(settings: Settings) -> Iterator[tuple[Stage, str | None]]:
    """Every stage of params.yaml, with the run or cell that it is for."""
    for stage in STAGES.values():
        yield from ((stage, name) for name in stage.names(settings))
