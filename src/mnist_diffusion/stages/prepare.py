"""Split the digits and describe the splits."""

from typing import Any

from mnist_diffusion.dataset import mnist
from mnist_diffusion.dataset.splits import SPLITS, save_split, split_digits, summarise
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.settings import Settings

SUMMARY = paths.PREPARED / "summary.json"


def run(settings: Settings) -> Outcome:
    """data/raw → data/prepared: arrays of the three splits, summary and manifest."""
    mnist.require(paths.RAW)
    raw = [paths.RAW / name for name in mnist.SHA256]
    inputs = snapshot_inputs(__name__, None, settings, parameters, raw)
    splits = split_digits(
        mnist.read_digits(paths.RAW, "train"),
        mnist.read_digits(paths.RAW, "t10k"),
        sizes={name: inputs.parameters[name] for name in SPLITS},
        seed=settings.prepare.seed,
    )
    described = {name: summarise(digits) for name, digits in splits.items()}

    folder = recreate_dir(paths.PREPARED)
    for name, digits in splits.items():
        save_split(name, digits, folder)
    write_json(SUMMARY, {"splits": described, "raw_sha256": mnist.SHA256})
    publish_folder(paths.PREPARED, inputs)
    return Outcome(sum(description["count"] for description in described.values()))


def parameters(settings: Settings) -> dict[str, Any]:
    """What decides the splits."""
    return settings.prepare.model_dump()
