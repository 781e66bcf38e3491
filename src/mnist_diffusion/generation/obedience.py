"""What a prompt was understood as, and how many of the drawn digits are as it asks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import GRAMMAR, Meaning
from mnist_diffusion.dataset.levels import obeyed
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.dataset.prompts import Prompt
from mnist_diffusion.evaluation.features import classify
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.networks.text_files import TEXT
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Compute


def understood(prompt: Prompt, run: str) -> list[str]:
    """Lines on what is asked for, whether the run ever saw that, and what it does not know."""
    never = _meaning(run).corners.hold_all_of(prompt.asked)
    seen = " (never trained together)" if never else ""
    return [*(f"note: {note}" for note in prompt.notes), f"{prompt.understood}{seen}"]


def obeying(prompt: Prompt, run: str, images: NDArray[np.uint8], compute: Compute) -> str:
    """Such as "14 of 16 are so, as measured"; images (n, 28, 28).

    The judge says which digit one is, and where there is no judge yet that goes unasked.
    """
    asked = np.array([prompt.asked] * len(images), dtype=np.int64)
    if (paths.CLASSIFIER / checkpoint.WEIGHTS).is_file():
        device = configure(compute)
        classifier, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
        judged = classify(classifier.to(device), to_tensor(images), device)
        seen, by = np.asarray(judged.seen), "as measured"
    else:
        seen = np.full(len(images), prompt.digit or 0, dtype=np.int64)
        by = "as measured but for the digit, for there is no judge yet"
    found = _meaning(run).bands.levels(Attributes.of(images), seen)
    right = obeyed(asked, found).all(axis=1)
    return f"{int(right.sum())} of {len(images)} are so, {by}"


def _meaning(run: str) -> Meaning:
    return Meaning.load(paths.model(run) / TEXT / GRAMMAR)
