"""What text and image encoder minimise: is this caption true of that digit, for all pairs?

SigLIP's loss (Zhai et al. 2023), and not by pairs: "a seven" is true of every seven in the batch,
and CLIP's loss would call all but one of them wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_diffusion.dataset.grammar import END, UNKNOWN, captions_of, encode
from mnist_diffusion.dataset.levels import Codes, truth
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.settings.encoders import ClipTraining
from mnist_diffusion.training.epochs import Epochs, Streams

DETAILS = ("loss_per_caption",)


class Contrast:
    """A batch and its loss for any step, from the step's number alone."""

    def __init__(self, images: Tensor, levels: Codes, settings: ClipTraining, device: torch.device):
        """`images` (n, 28, 28) uint8, on the CPU, and their levels (n, 4)."""
        self._images, self._levels, self._device = images, levels, device
        self._hidden = settings.word_dropout
        self._streams = Streams("clip", settings.seed)
        self._epochs = Epochs(len(images), settings.recipe.batch_size, self._streams)

    def __call__(self, network: Callable[..., Tensor], step: int) -> tuple[Tensor, Tensor]:
        """The loss of a step, and that of each caption: (batch, 1), on the CPU."""
        tokens, images, true = (part.to(self._device) for part in self.batch(step))
        logits = network(tokens, images)
        losses = F.binary_cross_entropy_with_logits(logits, true, reduction="none").sum(dim=1)
        return losses.mean(), losses.detach().cpu()[:, None]

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (batch, LENGTH), images (batch, 1, 28, 28), and truth (batch, batch) as 0 or 1.

        A caption of each image, said anew at every step; some of its words are hidden.
        """
        chosen = self._epochs(step)
        levels = self._levels[chosen.numpy()]
        texts, asked = captions_of(levels, self._streams("captions", step))
        tokens = encode(texts)
        hidden = torch.rand(tokens.shape, generator=self._streams("words", step)) < self._hidden
        tokens = tokens.masked_fill(hidden & (tokens > END), UNKNOWN)
        true = torch.from_numpy(truth(asked, levels)).float()
        return tokens, to_tensor(self._images[chosen]), true
