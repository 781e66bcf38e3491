"""manifest.json of a published folder: what made it, and digests of all that is in it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import STAGES
from mnist_diffusion.provenance.digests import json_digest
from mnist_diffusion.provenance.schemas.artifact import Digest, Sourced, Strict, load
from mnist_diffusion.settings import ResolvedCell, ResolvedRun, ResolvedStudent, SharedSampling
from mnist_diffusion.settings.encoders import Captions, ClipTraining, Codec, CodecTraining

SCHEMA = 2
Scalar = str | int | float | bool | None
Values = dict[str, Scalar]


class Common(Sourced):
    """What all manifests hold."""

    schema_: Literal[2] = Field(alias="schema")
    files: dict[str, Digest]
    """Content digests of all that was published but the manifest, by path from the root."""


class SingleManifest(Common):
    """data/prepared, data/reference, models/classifier, models/autoencoder or models/judges"""

    stage: Literal["prepare", "classifier", "autoencoder", "judges", "reference"]
    name: None
    parameters: Values


class CodecParameters(Strict):
    """What decides a codec's weights, besides the digits."""

    codec: Codec
    training: CodecTraining


class CodecManifest(Common):
    """models/codecs/<codec>"""

    stage: Literal["codec"]
    name: str
    parameters: CodecParameters
    network_parameters: int
    outputs: dict[str, Digest]


class LatentsManifest(Common):
    """data/latents/<codec>"""

    stage: Literal["latents"]
    name: str
    parameters: Values
    inputs: dict[str, Digest]
    outputs: dict[str, Digest]


class CaptionsManifest(Common):
    """data/captions"""

    stage: Literal["captions"]
    name: None
    parameters: Captions


class ClipManifest(Common):
    """models/clip"""

    stage: Literal["clip"]
    name: None
    parameters: ClipTraining
    outputs: dict[str, Digest]


class Card(Strict):
    """A schedule's card."""

    betas_sha256: Digest
    timesteps: int
    alpha_bar_first: float
    alpha_bar_last: float
    log_snr_max: float
    log_snr_min: float | None
    t_where_snr_is_1: int
    first_step_signal: float | None = None


class DenoiserManifest(Common):
    """What cells draw from."""

    name: str
    network_parameters: int
    schedule: Card
    final_loss: float
    inputs: dict[str, Digest]
    outputs: dict[str, Digest]


class TrainManifest(DenoiserManifest):
    """models/<run>"""

    stage: Literal["train"]
    parameters: ResolvedRun
    """As in config.json, beside the weights."""


class DistillManifest(DenoiserManifest):
    """models/<student>"""

    stage: Literal["distill"]
    parameters: ResolvedStudent
    """As in config.json, beside the weights."""


class SampleParameters(Strict):
    """What made a sample set."""

    cell: ResolvedCell
    sample: SharedSampling
    training: ResolvedRun | ResolvedStudent
    """The run's or the student's config.json."""


class SampleManifest(Common):
    """data/samples/<cell>"""

    stage: Literal["sample"]
    name: str
    parameters: SampleParameters
    schedule: Card
    trajectory_timesteps: list[int]
    network_evaluations: int
    inputs: dict[str, Digest]
    outputs: dict[str, Digest]


class Manifest(
    RootModel[
        Annotated[
            SingleManifest
            | CodecManifest
            | LatentsManifest
            | CaptionsManifest
            | ClipManifest
            | TrainManifest
            | DistillManifest
            | SampleManifest,
            Field(discriminator="stage"),
        ]
    ]
):
    """Any manifest."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of manifests."""
    return Manifest.model_json_schema(by_alias=True)


class Timing(Strict):
    """reports/timings/<stage>.json: how long a stage took.

    It may be that of another run than the files: see its digests.
    """

    seconds: float
    threads: int | None = None
    """How many worked at it."""
    images_per_second: float | None = None
    finished: str
    """UTC, ISO 8601."""
    git_commit: str | None = None
    git_dirty: bool | None = None
    dvc_experiment: str | None = None
    """Its name, under `dvc exp run`."""
    manifest_sha256: Digest | None = None


def timing_of(stage: str, name: str | None) -> Timing | None:
    """The sidecar of a stage, unless it is of another run than what is here: DVC may restore that.

    UserError if it is none.
    """
    path, made = paths.timing(stage, name), STAGES[stage].published(name)
    timing = load(path, Timing) if path.exists() else None
    here = json_digest(read_json(made)) if made else None
    return timing if timing and timing.manifest_sha256 == here else None
