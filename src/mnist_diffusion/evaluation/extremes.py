"""The images that the judge is most and least sure of."""

from torch import Tensor

SHOWN = 20


def extremes(probabilities: Tensor, labels: Tensor) -> dict[str, list[int]]:
    """Indices of the best images, best first, and of the worst, worst first, 20 of each.

    By the probability (n, 10) of the digit asked for, labels (n,), or of the likeliest where none
    was, which is label -1.
    """
    asked = probabilities.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    sureness = asked.where(labels >= 0, probabilities.amax(dim=1))
    order = sureness.argsort(descending=True, stable=True)
    return {"best": order[:SHOWN].tolist(), "worst": order.flip(0)[:SHOWN].tolist()}
