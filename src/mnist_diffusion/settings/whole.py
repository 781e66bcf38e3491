"""All of params.yaml, and what its sections demand of one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from mnist_diffusion.files import paths
from mnist_diffusion.files.yamlfile import read_yaml
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import Instructions
from mnist_diffusion.settings.claims import ARM, Claim, Effects, Trajectories
from mnist_diffusion.settings.encoders import (
    Adherence,
    Captions,
    ClipTraining,
    Codec,
    CodecTraining,
    Seams,
)
from mnist_diffusion.settings.judging import (
    AutoencoderTraining,
    Calibration,
    ClassifierTraining,
    Evaluate,
    FdCurve,
    Margins,
    OtherJudge,
    Reference,
    Tables,
    Tstr,
)
from mnist_diffusion.settings.messages import explain, require
from mnist_diffusion.settings.resolve import ResolvedCell, ResolvedRun, resolve_cell, resolve_run
from mnist_diffusion.settings.sampling import (
    FIXED_ETA,
    Cell,
    SamplerChoice,
    SharedChoices,
    SharedSampling,
)
from mnist_diffusion.settings.section import Name, NonNegative, Positive, Section
from mnist_diffusion.settings.students import ResolvedStudent, Student, resolve_student
from mnist_diffusion.settings.training import Networks, Run, Train

RESERVED_RUNS = {"classifier", "autoencoder", "judges", "clip", "codecs"}
"""Folders of models/ that are no run's."""


class Compute(Section):
    """Where the networks run. Part of the result: other devices round differently."""

    device: Literal["auto", "cpu", "cuda"]
    """auto takes CUDA if it is there and the CPU otherwise; a forced device must exist."""
    instructions: Instructions
    """avx2: the same bits on every x86-64 processor that has it. native: all there are, faster."""


class Prepare(Section):
    """The split of the 60,000 training digits, and how many of the 10,000 test digits to use."""

    train: Positive
    validation: Positive
    test: Annotated[int, Field(gt=0, le=10_000)]
    seed: NonNegative

    @model_validator(mode="after")
    def _check_total(self) -> Prepare:
        if self.train + self.validation > 60_000:
            raise ValueError(
                "train: train + validation exceed the 60,000 digits there are; lower one"
            )
        return self


class Report(Section):
    """The front page."""

    headline: Name
    """The cell that it shows."""


class Defaults(Section):
    """What the file's entries of `runs` and `cells` start from, by `<<`; nothing else reads it."""

    run: Run
    cell: SamplerChoice


class Settings(Section):
    """All of params.yaml."""

    scale: Name
    compute: Compute
    prepare: Prepare
    classifier: ClassifierTraining
    autoencoder: AutoencoderTraining
    judges: Annotated[dict[Name, OtherJudge], Field(min_length=1)]
    reference: Reference
    codec: CodecTraining
    codecs: Annotated[dict[Name, Codec], Field(min_length=1)]
    captions: Captions
    clip: ClipTraining
    networks: Networks
    train: Train
    defaults: Defaults
    runs: Annotated[dict[Name, Run], Field(min_length=1)]
    students: dict[Name, Student]
    sample: SharedChoices
    cells: Annotated[dict[Name, Cell], Field(min_length=1)]
    evaluate: Evaluate
    margins: Margins
    fd_curve: FdCurve
    tstr: Tstr
    adherence: Adherence
    seams: Seams
    calibration: Calibration
    tables: Tables
    trajectories: Trajectories
    effects: dict[Name, Effects]
    claims: dict[Name, Claim]
    report: Report

    @property
    def denoisers(self) -> dict[str, Run]:
        """What cells draw from: runs, and students as their teachers by another recipe."""
        taught = {
            name: self.runs[student.teacher].model_copy(update={"recipe": student.recipe})
            for name, student in self.students.items()
        }
        return self.runs | taught

    def run(self, name: str) -> ResolvedRun:
        """A run, with all that it names."""
        run, vector = self.runs[name], self.clip.vector
        return resolve_run(run, self.train, self.networks, self.codecs, vector)

    def student(self, name: str) -> ResolvedStudent:
        """A student, with all that it and its teacher name."""
        student = self.students[name]
        recipe = self.train.recipes[student.recipe]
        return resolve_student(student, self.run(student.teacher), recipe)

    def cell(self, name: str) -> ResolvedCell:
        """A cell, completed by what all cells share."""
        return resolve_cell(self.cells[name], self.sample)

    def shared(self, name: str) -> SharedSampling:
        """What a cell shares with all others, with the seed of its noise.

        That is the training's seed beside the sampling's: the luck of drawing is then part of the
        luck from training to training, and not the same for all.
        """
        cell = self.cells[name]
        seed = self.sample.seed if cell.seed is None else cell.seed
        shared = self.sample.model_dump(include=set(SharedSampling.model_fields))
        run = self.denoisers[cell.run]
        if run.codec:
            shared["micro_batch"] = self.sample.latent_batch
        return SharedSampling(**{**shared, "seed": seed + run.seed})

    def claimed_pairs(self) -> list[tuple[str, str]]:
        """The cells that claims hold against each other, with their baselines, each once."""
        tests = (test for claim in self.claims.values() for test in claim.tests)
        pairs = (pair for test in tests if test.kind == "difference" for pair in test.pairs)
        return list(dict.fromkeys((cell, baseline) for cell, baseline in pairs))

    @model_validator(mode="after")
    def _check_references(self) -> Settings:
        for name, run in self.runs.items():
            if name in RESERVED_RUNS:
                raise ValueError(f"runs.{name}: this name is taken; choose another")
            require(run.recipe, self.train.recipes, f"runs.{name}.recipe", "recipe")
            if run.codec:
                require(run.codec, self.codecs, f"runs.{name}.space", "codec")
            self._check_importance(name, run)
        for name, student in self.students.items():
            self._check_student(name, student)
        for name, cell in self.cells.items():
            require(cell.run, self.denoisers, f"cells.{name}.run", "run")
            self._check_cell(name, cell)
        for name, table in self.tables:
            for cell_name in table.cells:
                require(cell_name, self.cells, f"tables.{name}.cells", "cell")
            for cell_name in table.baselines:
                require(cell_name, table.cells, f"tables.{name}.baselines", "cell")
        require(self.report.headline, self.cells, "report.headline", "cell")
        self._check_count("sample", self.sample.count)
        self._check_count("fd_curve", self.fd_curve.count)
        for name in self.cells:
            self._check_count(f"cells.{name}", self.cell(name).count)
        self._check_tstr()
        self._check_effects()
        require(self.trajectories.run, self.runs, "trajectories.run", "run")
        if self.runs[self.trajectories.run].codec:
            raise ValueError(
                f"trajectories.run: {self.trajectories.run} draws latents; set another"
            )
        return self

    def _check_student(self, name: str, student: Student) -> None:
        if name in self.runs or name in RESERVED_RUNS:
            raise ValueError(f"students.{name}: this name is taken; choose another")
        require(student.teacher, self.runs, f"students.{name}.teacher", "run")
        require(student.recipe, self.train.recipes, f"students.{name}.recipe", "recipe")
        if self.runs[student.teacher].conditioning != "class":  # so that it is a U-Net
            raise ValueError(
                f"students.{name}.teacher: {student.teacher} is no U-Net that is asked by label; "
                "choose one"
            )
        if student.steps > self.train.timesteps:
            raise ValueError(
                f"students.{name}.steps: {student.steps} exceeds train.timesteps "
                f"{self.train.timesteps}"
            )
        least = max(self.train.recipes[student.recipe].batch_size, self.sample.micro_batch + 1)
        if student.trajectories < least:
            raise ValueError(
                f"students.{name}.trajectories: {student.trajectories} are fewer than a batch, or "
                f"all of one scale; draw {least} or more"
            )
        if student.guidance[0] == 0:
            raise ValueError(
                f"students.{name}.guidance: at 0 its teacher is asked nothing; begin above it"
            )

    def _check_count(self, section: str, count: int) -> None:
        if count > self.prepare.test:
            raise ValueError(
                f"{section}.count: {count} exceeds the {self.prepare.test} real test "
                "digits that the baseline is measured on; lower it or raise prepare.test"
            )
        if count not in self.reference.counts:
            raise ValueError(
                f"{section}.count: there is no baseline for {count} images; "
                f"add {count} to reference.counts"
            )

    def _check_effects(self) -> None:
        for name, effects in self.effects.items():
            for cell in effects.cells:
                require(cell, self.cells, f"effects.{name}.cells", "cell")
            for factor in effects.contrasts:
                require(factor, effects.factors or [ARM], f"effects.{name}.contrasts", "factor")
            keys = {key for own in effects.factors.values() for key in own} | {"seed"}
            first, *others = effects.cells
            for cell in others:
                self._check_alike(f"effects.{name}.cells", first, cell, keys)

    def _check_alike(self, place: str, first: str, cell: str, varied: set[str]) -> None:
        """One of each training, which differ in nothing but the factors, or arms in anything."""
        one, other = (self.denoisers[self.cells[name].run].model_dump() for name in (first, cell))
        beside = sorted(key for key in one if one[key] != other[key] and key not in varied)
        if beside and varied != {"seed"}:
            raise ValueError(
                f"{place}: {cell} differs from {first} in {beside[0]}, which is no factor; make "
                "it one, or leave the cell out"
            )
        drawn, alike = (self.cell(name).model_dump() for name in (cell, first))
        free = {"run"}
        free |= {"guidance"} if one["conditioning"] != other["conditioning"] else set()
        free |= {"x0_bound"} if one["space"] != other["space"] else set()
        for key in sorted(set(drawn) - free):
            if drawn[key] != alike[key]:
                raise ValueError(f"{place}: {cell} is not drawn as {first}: set the same {key}")

    def _check_tstr(self) -> None:
        for name in self.fd_curve.runs:
            require(name, self.runs, "fd_curve.runs", "run")
        for name in self.tstr.cells:
            require(name, self.cells, "tstr.cells", "cell")
            if not self.cells[name].asks(self.denoisers[self.cells[name].run].conditioning):
                raise ValueError(f"tstr.cells: {name} was asked for no digits; leave it out")
            if self.cell(name).count != self.sample.count:
                raise ValueError(f"tstr.cells: {name} has a count of its own; leave it out")
        for name in self.adherence.cells:
            require(name, self.cells, "adherence.cells", "cell")
            conditioning = self.denoisers[self.cells[name].run].conditioning
            if conditioning != "text" or not self.cells[name].asks(conditioning):
                raise ValueError(f"adherence.cells: {name} was asked for nothing; leave it out")
        for name in self.seams.cells:
            require(name, self.cells, "seams.cells", "cell")
            if self.cell(name).inpaint == "none":
                raise ValueError(f"seams.cells: {name} draws no halves; leave it out")
        largest = max(self.calibration.counts)
        if largest >= self.prepare.test // 2:
            raise ValueError(
                f"calibration.counts: {largest} leaves no choice of sets: {self.prepare.test} real "
                "test digits, of which as many are compared with; lower it or raise prepare.test"
            )

    def _check_importance(self, name: str, run: Run) -> None:
        recipe = self.train.recipes[run.recipe]
        history = self.train.timestep_samplings.importance.history
        drawn = recipe.steps * recipe.batch_size
        if run.timestep_sampling == "importance" and drawn <= self.train.timesteps * history:
            raise ValueError(
                f"runs.{name}.timestep_sampling: importance waits until all timesteps have been "
                f"seen {history} times, and {drawn:,} draws are too few; lower "
                "train.timestep_samplings.importance.history or train more"
            )

    def _check_cell(self, name: str, cell: Cell) -> None:
        fixed_eta = FIXED_ETA.get(cell.sampler, 0.0)
        if cell.sampler != "ddim" and cell.eta != fixed_eta:
            raise ValueError(f"cells.{name}.eta: {cell.sampler} has eta {fixed_eta}; set it so")
        if cell.steps > self.train.timesteps:
            raise ValueError(
                f"cells.{name}.steps: {cell.steps} exceeds train.timesteps {self.train.timesteps}"
            )
        self._check_space(name, self.cell(name))
        if cell.run in self.students:
            if cause := untaught(self.cell(name), self.students[cell.run]):
                raise ValueError(f"cells.{name}.{cause}")
        else:
            self._check_guide(name, self.cell(name))

    def _check_space(self, name: str, cell: ResolvedCell) -> None:
        run = self.denoisers[cell.run]
        if run.codec and cell.x0_bound != "none":
            raise ValueError(
                f"cells.{name}.x0_bound: {cell.x0_bound} holds x0 within the range of pixels, and "
                f"{cell.run} draws latents; set none"
            )
        if run.codec and cell.inpaint != "none":
            raise ValueError(
                f"cells.{name}.inpaint: {cell.run} draws latents, which have no halves; set none, "
                "or choose a run in pixels"
            )
        if run.conditioning != "text" and cell.prompts != "digits":
            raise ValueError(
                f"cells.{name}.prompts: {cell.run} reads no text; set digits, or choose a text run"
            )

    def _check_guide(self, name: str, cell: ResolvedCell) -> None:
        unconditional = self.runs[cell.run].conditioning == "uncond"
        recipe = self.train.recipes[self.runs[cell.run].recipe]
        earlier = min(self.train.snapshots, recipe.steps) - 1
        if cell.guide == "label":
            if unconditional and cell.guidance != 0:
                raise ValueError(
                    f"cells.{name}.guidance: {cell.run} is unconditional; set 0, choose a class "
                    "or text run, or guide: snapshot"
                )
        elif unconditional and cell.guide == "snapshot-unlabelled":
            raise ValueError(
                f"cells.{name}.guide: {cell.run} knows no labels to leave out; set snapshot"
            )
        elif cell.guidance in (0, 1):
            raise ValueError(
                f"cells.{name}.guidance: {cell.guidance:g} leaves the snapshot without a part; set "
                "another, or guide: label"
            )
        elif cell.guide_snapshot > earlier:
            raise ValueError(
                f"cells.{name}.guide_snapshot: {cell.guide_snapshot} is not before the end of "
                f"training, {earlier} are; lower it, or raise train.snapshots"
            )


def untaught(cell: ResolvedCell, student: Student) -> str | None:
    """Which key of a cell asks what its student has not learned, and what to do; None if none."""
    low, high = student.guidance
    if not low <= cell.guidance <= high:
        return f"guidance: {cell.run} knows {low:g} to {high:g}; set one of them"
    if student.points % cell.steps or cell.spacing != "trailing":
        return (
            f"steps: {cell.run} knows {student.points} points, spaced trailing; set steps that "
            "divide them"
        )
    if cell.guide != "label" or cell.guidance_interval or cell.guidance_rescale:
        return (
            f"guide: {cell.run} has its guidance from its teacher; set guide label, no interval "
            "and no rescale"
        )
    return None


def load_settings(path: Path = paths.PARAMS) -> Settings:
    """Read and check a settings file; UserError says in one line what is wrong."""
    return parse_settings(read_yaml(path), str(path))


def parse_settings(content: dict[str, Any], source: str) -> Settings:
    """Check settings that were read from `source`."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error, Settings)}") from None
