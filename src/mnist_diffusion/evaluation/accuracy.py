"""How often the classifier sees the digit asked for, and how well it knows when it is right."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from mnist_diffusion.dataset.mnist import CLASSES

BINS = 15
"""Of confidence."""
SHOWN = 20
"""Best and worst images."""


def agreement(probabilities: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy of classified (n, 10) against wanted (n,) digits: of all, by digit, and confusion.

    Rows of the confusion are the digits wanted, columns those seen.
    """
    seen = probabilities.argmax(dim=1)
    per_class = multiclass_accuracy(seen, labels, CLASSES, average="none")
    return {
        "accuracy": float((seen == labels).double().mean()),
        "accuracy_per_class": {str(digit): float(value) for digit, value in enumerate(per_class)},
        "confusion": multiclass_confusion_matrix(seen, labels, CLASSES).tolist(),
    }


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Expected calibration error over 15 bins (Naeini et al. 2015)."""
    return float(multiclass_calibration_error(probabilities, labels, CLASSES, n_bins=BINS))


def reliability(probabilities: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """Confidence, accuracy and count of each of 15 equal bins of confidence that is not empty."""
    confidence, seen = probabilities.max(dim=1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    right = (seen == labels).double()
    return [
        {
            "confidence": float(confidence[bins == b].double().mean()),
            "accuracy": float(right[bins == b].mean()),
            "count": int((bins == b).sum()),
        }
        for b in torch.unique(bins).tolist()
    ]


def shares(probabilities: Tensor) -> dict[str, float]:
    """Which share of the images the classifier takes for each digit."""
    counts = torch.bincount(probabilities.argmax(dim=1), minlength=CLASSES).double()
    return {str(digit): float(share) for digit, share in enumerate(counts / counts.sum())}


def extremes(probabilities: Tensor, labels: Tensor) -> dict[str, list[int]]:
    """Indices of the best images, best first, and of the worst, worst first, 20 of each.

    By the probability (n, 10) of the digit asked for, labels (n,), or of the likeliest where none
    was, which is label -1.
    """
    asked = probabilities.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    sureness = asked.where(labels >= 0, probabilities.amax(dim=1))
    order = sureness.argsort(descending=True, stable=True)
    return {"best": order[:SHOWN].tolist(), "worst": order.flip(0)[:SHOWN].tolist()}
