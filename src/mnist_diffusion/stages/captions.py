"""captions: measure every digit, and put its looks in levels that words can name."""

from typing import Any

import numpy as np

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import GRAMMAR, SPLITS, Meaning, corners_of, save_captioned
from mnist_diffusion.dataset.levels import ATTRIBUTES, LEVELS, Bands, Codes
from mnist_diffusion.dataset.splits import load_split
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.lineage import publish_folder, snapshot_inputs
from mnist_diffusion.runtime.locks import recreate_dir
from mnist_diffusion.runtime.progress_bar import track
from mnist_diffusion.settings import Settings

SUMMARY = "summary.json"


def run(settings: Settings) -> Outcome:
    """Measure training and test digits; the bands of width are the training digits'."""
    inputs = snapshot_inputs(__name__, None, settings, parameters, [paths.PREPARED])
    digits = {split: load_split(split) for split in SPLITS}
    measured = {
        split: Attributes.of(digits[split].images)
        for split in track(SPLITS, total=len(SPLITS), description="captions", unit="split")
    }
    chosen = settings.captions
    bands = Bands.fitted(
        chosen.thickness, chosen.slant, chosen.width, measured["train"], digits["train"].labels
    )
    meaning = Meaning(bands, corners_of(chosen.held_out))
    levels = {split: bands.levels(measured[split], digits[split].labels) for split in SPLITS}

    folder = recreate_dir(paths.CAPTIONS)
    meaning.save(folder / GRAMMAR)
    for split in SPLITS:
        save_captioned(split, measured[split], levels[split], folder)
    summary = {split: _summary(levels[split], meaning) for split in SPLITS}
    write_json(folder / SUMMARY, summary)
    publish_folder(folder, inputs)
    return Outcome(sum(len(digits[split].labels) for split in SPLITS))


def parameters(settings: Settings) -> dict[str, Any]:
    """What words mean, and what is held out."""
    return settings.captions.model_dump()


def _summary(levels: Codes, meaning: Meaning) -> dict[str, Any]:
    """How many digits there are of each level, and in a corner that is held out."""
    counts = {
        name: np.bincount(levels[:, column], minlength=LEVELS[column]).tolist()
        for column, name in enumerate(ATTRIBUTES)
    }
    return {"count": len(levels), "held_out": int(meaning.corners.hold(levels).sum()), **counts}
