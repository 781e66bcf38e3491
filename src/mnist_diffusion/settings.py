"""The settings in params.yaml: read, checked and frozen before anything starts.

There are no defaults here: every number of a run stands in params.yaml, where DVC tracks it. That
is why the pipeline need not depend on this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mnist_diffusion import paths
from mnist_diffusion.complaints import explain, require
from mnist_diffusion.errors import UserError
from mnist_diffusion.yamlfile import read_yaml

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=10)]
"""Each digit once, at the least: or accuracy would be told of digits nobody asked for."""
Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Names = Annotated[list[Name], Field(min_length=1)]

RESERVED_RUNS = {"classifier", "extractor"}
FIXED_ETA = {"ddpm": 1.0, "ddpm-large": 1.0}
"""Samplers whose noise is given; all others but ddim have none."""


class Section(BaseModel):
    """A part of params.yaml: unknown keys, loose types and later changes are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Compute(Section):
    """Where the networks run. Part of the result: other threads or devices round differently."""

    device: Literal["auto", "cpu", "cuda"]
    """auto takes CUDA if it is there and the CPU otherwise; a forced device must exist."""
    threads: Positive
    """CPU threads of every stage."""


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


class Classifier(Section):
    """The judge: its accuracy on real digits bounds what it can say about drawn ones."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    label_smoothing: Fraction
    augmentation: Fraction
    """Largest random shift, scaling and shear, as a fraction of the image."""
    seed: NonNegative


class Extractor(Section):
    """The second network: its features bear out, or do not, what the judge's features say."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    mask: Annotated[int, Field(ge=0, lt=28)]
    """Side of the hidden square, in pixels."""
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Standard deviation of the noise on pixels in [-1, 1]."""
    seed: NonNegative


class Reference(Section):
    """The real-versus-real floor: what other real digits score at a given n."""

    counts: Annotated[list[Count], Field(min_length=1)]
    """Every n that a cell draws, or a snapshot along training."""
    repeats: Positive
    """Random real sets drawn per n."""
    seed: NonNegative


class UNetSettings(Section):
    """networks.unet.UNet"""

    channels: Annotated[list[Positive], Field(min_length=1)]
    blocks: Positive
    patch: Positive
    embedding: Positive
    heads: Positive

    @model_validator(mode="after")
    def _check_shapes(self) -> UNetSettings:
        if any(width % 8 for width in self.channels):
            raise ValueError(f"channels: not all of {self.channels} are multiples of 8; use such")
        if self.channels[-1] % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide {self.channels[-1]}; use one")
        if self.embedding % 2:
            raise ValueError(f"embedding: {self.embedding} is odd; use an even number")
        halvings = len(self.channels) - 1
        if 28 % self.patch or (28 // self.patch) % 2**halvings:
            raise ValueError(
                f"patch: 28 pixels do not fold by {self.patch} and halve {halvings} times; "
                "use patch 1, 2 or 4, and fewer channels"
            )
        return self


class SimpleSettings(Section):
    """networks.simple.SimpleDenoiser, the source's own network"""

    embedding: Positive


class Networks(Section):
    """The denoisers that a run can name."""

    unet: UNetSettings
    simple: SimpleSettings


class Recipe(Section):
    """How a network is trained; `runs` name one."""

    optimizer: Literal["adam", "muon"]
    learning_rate: Rate
    """Adam's; Muon leaves embeddings, norms and the outer layers to Adam."""
    muon_learning_rate: Rate | None
    decay: Literal["constant", "cosine"]
    warmup: Fraction
    """Share of the steps over which the learning rate rises from 0."""
    gradient_clip: Rate | None
    steps: Positive
    batch_size: Positive
    ema: Fraction
    """Decay per step of the averaged weights, warmed up; 0 samples from the last weights."""

    @model_validator(mode="after")
    def _check_muon(self) -> Recipe:
        if (self.optimizer == "muon") != (self.muon_learning_rate is not None):
            raise ValueError(
                "muon_learning_rate: belongs to optimizer muon; set it there and null elsewhere"
            )
        return self


class Parameterless(Section):
    """Something that has a name only."""


class P2(Section):
    """eps-MSE / (k + SNR)^gamma"""

    k: Rate
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit_mean: bool
    """Divide by the mean over all timesteps, so that the loss keeps its size."""


class MinSNR(Section):
    """x0-MSE · min(SNR, gamma)"""

    gamma: Rate
    unit_mean: bool
    """Divide by the mean over all timesteps, so that the loss keeps its size."""


class Weightings(Section):
    """The parameters of each weighting; `runs` name one."""

    epsilon: Parameterless
    v: Parameterless
    p2: P2
    min_snr: MinSNR = Field(alias="min-snr")


class Importance(Section):
    """diffusion.timesteps.SecondMoment"""

    history: Positive
    """Losses remembered per timestep; until all have as many, draws are uniform."""
    uniform_share: Annotated[float, Field(gt=0, le=1)]


class TimestepSamplings(Section):
    """The parameters of each way to draw timesteps; `runs` name one."""

    uniform: Parameterless
    stratified: Parameterless
    importance: Importance


class Train(Section):
    """What all runs share."""

    timesteps: Annotated[int, Field(gt=20)]
    """T: with 20 or fewer the last beta of the linear schedule, 20 / T, would reach 1."""
    label_dropout: Fraction
    log_every: Positive
    snapshots: Positive
    """How often the averaged weights are kept along the way, the last time at its end."""
    weightings: Weightings
    timestep_samplings: TimestepSamplings
    recipes: dict[Name, Recipe]


class Run(Section):
    """One trained denoiser."""

    schedule: Literal["linear", "cosine", "quadratic"]
    zero_terminal_snr: bool
    """Rescale the schedule so that no signal at all is left at its last timestep."""
    conditioning: Literal["uncond", "class"]
    network: Literal["unet", "simple"]
    recipe: Name
    prediction: Literal["epsilon", "x0", "v"]
    """How the network's output is read."""
    weighting: Literal["epsilon", "v", "p2", "min-snr"]
    """What is minimised: the mean squared error of this, or of epsilon, reweighted."""
    timestep_sampling: Literal["uniform", "stratified", "importance"]
    seed: NonNegative

    @model_validator(mode="after")
    def _check_fit(self) -> Run:
        if self.network == "simple" and self.conditioning == "class":
            raise ValueError("conditioning: the source's network takes no labels; set uncond")
        if self.zero_terminal_snr and self.prediction == "epsilon":
            raise ValueError(
                "prediction: epsilon tells nothing of the image at zero SNR; set v or x0"
            )
        if self.zero_terminal_snr and self.weighting != "v":
            raise ValueError(
                f"weighting: {self.weighting} gives no weight to zero SNR, where sampling starts; "
                "set v"
            )
        if self.prediction == "epsilon" and self.weighting == "v":
            raise ValueError(
                "weighting: v on an output read as epsilon is all the noisiest timestep's; "
                "set epsilon, p2 or min-snr, or prediction v or x0"
            )
        return self


Spacing = Literal["trailing", "leading", "linspace", "log-snr"]
X0Bound = Literal["clip", "dynamic", "none"]
Interval = Annotated[
    list[Annotated[float, Field(ge=0, allow_inf_nan=False)]], Field(min_length=2, max_length=2)
]
Share = Annotated[float, Field(ge=0, le=1)]


class Choices(Section):
    """How a cell is drawn, beyond its sampler: the same for all, unless a cell says otherwise."""

    count: Count
    """Images."""
    spacing: Spacing
    """Which timesteps are visited."""
    x0_bound: X0Bound
    """How the predicted x0 is held within the range of pixels."""
    dynamic_quantile: Annotated[float, Field(gt=0, le=1)]
    """Of |x0|, for the dynamic bound."""
    guidance_interval: Interval | None
    """Guide only at these levels of sigma / alpha; null guides at all."""
    guidance_rescale: Share
    """phi: how far the contrast is brought back to the unguided."""

    @model_validator(mode="after")
    def _check_choices(self) -> Choices:
        _check_rising(self.guidance_interval)
        return self


class Sample(Choices):
    """What all cells share, so that image k starts from the same noise in every cell."""

    micro_batch: Positive
    """Images per network call. Not part of the result's meaning, but of its last bits."""
    trajectory_images: Positive
    seed: NonNegative


class Sampling(Section):
    """One way of sampling one run."""

    run: Name
    sampler: Literal[
        "ddpm", "ddpm-large", "ddim", "dpm-solver-1", "dpm-solver-2", "dpm-solver-3", "heun"
    ]
    steps: Positive
    eta: Share
    """Share of the ancestral noise: 1 for ddpm, 0 for solvers, either or between for ddim."""
    guidance: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
    """s in eps_uncond + s·(eps_cond - eps_uncond): 0 is unconditional, 1 plain conditional."""


class Progress(Section):
    """How the snapshots of every run are drawn to be judged: quickly, for there are many."""

    count: Count
    """Images of each snapshot, the same noise for all."""
    sampler: Literal["ddim", "dpm-solver-2", "dpm-solver-3"]
    steps: Positive


class Cell(Sampling):
    """A cell as params.yaml has it; what it leaves unsaid is said in `sample`."""

    count: Count | None = None
    spacing: Spacing | None = None
    x0_bound: X0Bound | None = None
    dynamic_quantile: Annotated[float | None, Field(gt=0, le=1)] = None
    guidance_interval: Interval | None = None
    guidance_rescale: Share | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> Cell:
        _check_rising(self.guidance_interval)
        for name in sorted(self.model_fields_set - {"guidance_interval"}):
            if getattr(self, name) is None:
                raise ValueError(f"{name}: null says nothing; leave it out, or give a value")
        return self


class WholeCell(Sampling, Choices):
    """A cell with everything said."""


class Evaluate(Section):
    """Intervals: a bootstrap over the images of a cell."""

    resamples: Annotated[int, Field(ge=20)]
    level: Annotated[float, Field(gt=0.5, lt=1)]
    """How often an interval is to hold the true value."""
    seed: NonNegative


class Report(Section):
    """Which cells the report's comparisons are made of."""

    headline: Name
    """The cell on the front page."""
    schedules: Names
    """Cells of the schedules × conditioning table."""
    samplers: Names
    """Cells of the samplers × steps table."""
    guidance: Names
    """Cells of the guidance table, in rising order."""
    ablations: Names
    """Cells of the table of training choices."""
    choices: Names
    """Cells of the table of sampling choices: spacing, bound, guidance interval and rescale."""


class Baselines(Section):
    """By table of the report: the cells that its others are compared with."""

    schedules: Names
    samplers: Names
    guidance: Names
    ablations: Names
    choices: Names


class Compare(Section):
    """Which differences a verdict is given on.

    A cell meets each baseline of its table that was asked for the same digits: of these only those
    of its own guidance, and then only those of its own training seed, where there are such.
    """

    baselines: Baselines


class Tstr(Section):
    """Train on synthetic, test on real: the judge's architecture and recipe, on drawn digits."""

    epochs: Positive
    batch_size: Positive
    """Other than the judge's: these sets are many times smaller."""
    cells: Names
    """Cells that were asked for digits."""


Severities = Annotated[list[Rate], Field(min_length=2)]
Shares = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2)]


class Ladder(Section):
    """How far real digits are spoilt, in rising steps."""

    blur: Severities
    """Standard deviation, in pixels."""
    noise: Severities
    """Standard deviation, as a share of the range of pixels."""
    erosion: Shares
    """How far towards the image of which every stroke has lost a pixel at each side."""
    dropped_class: Annotated[
        list[Annotated[int, Field(gt=0, lt=10)]], Field(min_length=2, alias="dropped-class")
    ]
    """How many of the ten digits are missing."""
    duplicates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=2)]
    """Share of the images that are copies of others."""
    wrong_labels: Annotated[Shares, Field(alias="wrong-labels")]
    """Share of the images said to be another digit."""

    @model_validator(mode="after")
    def _check_rising(self) -> Ladder:
        for corruption, severities in self.model_dump(by_alias=True).items():
            if severities != sorted(set(severities)):
                raise ValueError(f"{corruption}: {severities} does not rise; sort it, each once")
        return self


class Calibration(Section):
    """The metrics put to the test on real digits that nobody drew."""

    counts: Annotated[list[Count], Field(min_length=2)]
    """The n at which every metric is measured."""
    count: Count
    """The n of the ladder."""
    repeats: Annotated[int, Field(ge=2)]
    """Random sets of real digits at each n: their range is what a metric must leave to see."""
    seed: NonNegative
    ladder: Ladder

    @model_validator(mode="after")
    def _check_count(self) -> Calibration:
        if self.count not in self.counts:
            raise ValueError(f"count: {self.count} is none of counts {self.counts}; use one")
        return self


class Settings(Section):
    """All of params.yaml."""

    scale: Name
    compute: Compute
    prepare: Prepare
    classifier: Classifier
    extractor: Extractor
    reference: Reference
    networks: Networks
    train: Train
    runs: Annotated[dict[Name, Run], Field(min_length=1)]
    sample: Sample
    cells: Annotated[dict[Name, Cell], Field(min_length=1)]
    evaluate: Evaluate
    progress: Progress
    compare: Compare
    tstr: Tstr
    calibration: Calibration
    report: Report

    def cell(self, name: str) -> WholeCell:
        """A cell, completed by what all cells share."""
        shared = self.sample.model_dump(include=set(Choices.model_fields))
        return WholeCell(**{**shared, **self.cells[name].model_dump(exclude_unset=True)})

    @model_validator(mode="after")
    def _check_references(self) -> Settings:
        for name, run in self.runs.items():
            if name in RESERVED_RUNS:
                raise ValueError(f"runs.{name}: this name is taken; choose another")
            require(run.recipe, self.train.recipes, f"runs.{name}.recipe", "recipe")
            self._check_importance(name, run)
        for name, cell in self.cells.items():
            require(cell.run, self.runs, f"cells.{name}.run", "run")
            self._check_cell(name, cell)
        for table in ("schedules", "samplers", "guidance", "ablations", "choices"):
            for cell_name in getattr(self.report, table):
                require(cell_name, self.cells, f"report.{table}", "cell")
        require(self.report.headline, self.cells, "report.headline", "cell")
        self._check_count("sample", self.sample.count)
        self._check_count("progress", self.progress.count)
        for name in self.cells:
            self._check_count(f"cells.{name}", self.cell(name).count)
        self._check_claims()
        return self

    def _check_count(self, section: str, count: int) -> None:
        if count > self.prepare.test:
            raise ValueError(
                f"{section}.count: {count} exceeds the {self.prepare.test} real test "
                "digits that the floor is measured on; lower it or raise prepare.test"
            )
        if count not in self.reference.counts:
            raise ValueError(
                f"{section}.count: there is no floor for {count} images; "
                f"add {count} to reference.counts"
            )

    def _check_claims(self) -> None:
        for table, cells in self.compare.baselines:
            for name in cells:
                require(name, getattr(self.report, table), f"compare.baselines.{table}", "cell")
        for name in self.tstr.cells:
            require(name, self.cells, "tstr.cells", "cell")
            if self.cells[name].guidance == 0:
                raise ValueError(f"tstr.cells: {name} was asked for no digits; leave it out")
            if self.cell(name).count != self.sample.count:
                raise ValueError(f"tstr.cells: {name} has a count of its own; leave it out")
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
        if self.runs[cell.run].conditioning == "uncond" and cell.guidance != 0:
            raise ValueError(
                f"cells.{name}.guidance: {cell.run} is unconditional; set 0 or choose a class run"
            )


def _check_rising(ends: list[float] | None) -> None:
    if ends is not None and not ends[0] < ends[1]:
        raise ValueError(f"guidance_interval: {ends} is empty; put the lower end first")


def load_settings(path: Path = paths.PARAMS) -> Settings:
    """Read and check a settings file; UserError says in one line what is wrong."""
    return parse_settings(read_yaml(path), str(path))


def parse_settings(content: dict[str, Any], source: str) -> Settings:
    """Check settings that were read from `source`."""
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: {explain(error, Settings)}") from None
