"""Every path of the project, as a function of a name. The current folder is the repository root.

DVC runs each stage there, and the command line goes there before it does anything else.
"""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
REQUIREMENTS = Path("requirements.lock")
CODE = Path(".code")
"""The digests of each stage's source."""
SCALES = Path("scales")

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REFERENCE = Path("data/reference")
CLASSIFIER = Path("models/classifier")
AUTOENCODER = Path("models/autoencoder")
JUDGES = Path("models/judges")
CAPTIONS = Path("data/captions")
CLIP = Path("models/clip")

REPORTS = Path("reports")
PUBLISHED = (Path("data"), Path("models"), REPORTS)
"""Where stages leave what they make."""
CLASSIFIER_REPORT = REPORTS / "classifier.json"
AUTOENCODER_REPORT = REPORTS / "autoencoder.json"
REFERENCE_REPORT = REPORTS / "reference.json"
CLIP_REPORT = REPORTS / "clip.json"
COMPARISONS = REPORTS / "comparisons.json"
TRAJECTORIES = REPORTS / "trajectories.json"
CLAIMS = REPORTS / "claims.json"
CALIBRATION = REPORTS / "calibration.json"
RANKS = REPORTS / "ranks.json"
TRTR = REPORTS / "trtr.json"
TABLES = REPORTS / "tables"
FIGURES = REPORTS / "figures"
TIMINGS = REPORTS / "timings"

WORK = Path(".work")
"""Scratch that no stage depends on; git-ignored."""
LOCKS = WORK / "locks"
RESUME = WORK / "resume"
"""Unfinished work, by address; not among DVC's outs, which DVC deletes before it runs a stage."""

BETAS = "betas.npy"
"""In a run's folder: the schedule that it was trained with."""
DIGESTS, PROMPTS = "digests.txt", "prompts.txt"
"""In a cell's folder: a line for each image."""


def code(stage: str) -> Path:
    """The digests of a stage's source, its one code dependency."""
    return CODE / f"{stage}.json"


def model(run: str) -> Path:
    """The trained denoiser of a run: weights, config, betas, history."""
    return Path("models") / run


def codec(name: str) -> Path:
    """A trained codec: weights, config, history."""
    return Path("models/codecs") / name


def latents(codec: str) -> Path:
    """The training digits as a codec has them, and their scale."""
    return Path("data/latents") / codec


def reconstructions(codec: str) -> Path:
    """A few digits as they are and as they come back from a codec, (2, 20, 28, 28) uint8."""
    return Path("data/fidelity") / f"{codec}.npy"


def fidelity(codec: str) -> Path:
    """What a codec costs."""
    return REPORTS / "fidelity" / f"{codec}.json"


def space(name: str) -> Path:
    """What a run is trained on, by its `space`: data/prepared, or the latents of a codec."""
    return Path("data") / name


def samples(cell: str) -> Path:
    """The sample set of a cell: images, labels, trajectory, manifest."""
    return Path("data/samples") / cell


def metrics(cell: str) -> Path:
    """The judgement of a cell."""
    return REPORTS / "metrics" / f"{cell}.json"


def fd_curve(run: str) -> Path:
    """The judgements of a run along its training."""
    return REPORTS / "fd_curve" / f"{run}.json"


def snapshots(run: str) -> Path:
    """A few digits of each snapshot of a run, (snapshots, 20, 28, 28) uint8."""
    return Path("data/snapshots") / f"{run}.npy"


def adherence(cell: str) -> Path:
    """Whether a cell's digits look as they were asked to."""
    return REPORTS / "adherence" / f"{cell}.json"


def seams(cell: str) -> Path:
    """How well a cell's drawn halves go with the real ones."""
    return REPORTS / "seams" / f"{cell}.json"


def tstr(cell: str) -> Path:
    """How well a cell's digits teach to read real ones."""
    return REPORTS / "tstr" / f"{cell}.json"


def yardstick(name: str) -> Path:
    """A figure taken on demand, to be held against what others publish."""
    return REPORTS / "yardsticks" / f"{name}.json"


def timing(stage: str, name: str | None) -> Path:
    """How long a stage took here: a sidecar, never a DVC out, since no two runs agree on it.

    Its digests say of which outputs it tells: DVC can bring others back from its cache.
    """
    return timing_of(f"{stage}@{name}" if name else stage)


def timing_of(address: str) -> Path:
    """The same, by the address that DVC knows the stage by."""
    return TIMINGS / f"{address}.json"
