"""The shapes of the files that tell of the judge, the runs and the sample sets."""

from mnist_diffusion.reporting.files import File, Interval
from mnist_diffusion.settings import ResolvedCell, SharedSampling


class Floor(File):
    """What random sets of n real test digits score against the training digits: no bound.

    Test digits are other writers' and the judge was trained on the training digits, so a model that
    repeats training digits could score below it.
    """

    fd: Interval
    relative_fd: Interval
    accuracy: Interval


class ReferenceReport(File):
    """reports/reference.json"""

    n: int
    features: int
    classifier_sha256: str
    reference_sha256: str
    floors: dict[str, Floor]
    """By n, written out: "2000"."""


class ReliabilityBin(File):
    """Digits that the classifier was about equally sure of."""

    confidence: float
    accuracy: float
    count: int


class ClassifierReport(File):
    """reports/classifier.json: the judge on the real test digits."""

    n: int
    accuracy: float
    accuracy_per_class: dict[str, float | None]
    expected_calibration_error: float
    reliability: list[ReliabilityBin]
    confusion: list[list[int]]
    """Rows are the true digit, columns the judged one."""
    classifier_sha256: str


class ScheduleCard(File):
    """What tells one noise schedule from another of the same name."""

    timesteps: int
    alpha_bar_last: float
    log_snr_max: float
    log_snr_min: float | None
    """None where no signal is left at all: minus infinity."""
    first_step_signal: float
    """Square root of alpha-bar where sampling starts: 0 would be pure noise."""


class SampleParameters(File):
    """How the cell was drawn, as it was at the time."""

    cell: ResolvedCell
    sample: SharedSampling


class Environment(File):
    """What a stage ran on."""

    device: str
    """cpu or cuda, the latter perhaps with a number."""
    cpu: str
    gpu: str = "none"


class SampleManifest(File):
    """data/samples/<cell>/manifest.json"""

    name: str
    parameters: SampleParameters
    schedule: ScheduleCard
    network_evaluations: int
    """Per image, counted while drawing: a guided step costs two."""
    trajectory_timesteps: list[int]
    inputs: dict[str, str]
    outputs: dict[str, str]
    """Digests by name: weights_sha256, betas_sha256; images_sha256, …"""
    environment: Environment


class RunManifest(File):
    """models/<run>/manifest.json"""

    network_parameters: int
    outputs: dict[str, str]
    """Digests by name: weights_sha256, …"""


class Noising(File):
    """models/<run>/noising.json; timestep -1 is the clean digit."""

    timesteps: list[int]


class Timing(File):
    """A sidecar of reports/timings; no DVC out, so it may tell of another run than the files do."""

    seconds: float
    threads: int | None = None
    """How many worked at it."""
    manifest_sha256: str | None = None
    """Of what the timed stage published."""
