"""A U-Net small enough for two CPU cores: it works on 2×2 pixels folded into channels."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mnist_diffusion.networks.blocks import (
    ResidualBlock,
    SelfAttention,
    timestep_embedding,
    zeroed,
)


class UNet(nn.Module):
    """Two or more levels of residual blocks with skips; attention at the coarsest level."""

    def __init__(
        self,
        *,
        channels: Sequence[int],
        blocks: int,
        patch: int,
        embedding: int,
        heads: int,
        classes: int,
        inputs: int = 1,
        vector: int = 0,
    ):
        """`channels` per level, finest first; `inputs` channels of what is denoised.

        With a `vector` it is asked by so many numbers of a text encoder, and not by labels.
        """
        super().__init__()
        self.patch = patch
        self.embedding = embedding
        self.classes = classes
        self.time = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.vector = vector
        if vector:
            self.wish = nn.Linear(vector, embedding)
            self.nothing = nn.Parameter(torch.zeros(embedding))
        else:
            self.label = nn.Embedding(classes + 1, embedding)
        folded = inputs * patch**2
        self.stem = nn.Conv2d(folded, channels[0], 3, padding=1)

        width, skips = channels[0], [channels[0]]
        self.down = nn.ModuleList()
        for level, out in enumerate(channels):
            if level > 0:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
            for _ in range(blocks):
                self.down.append(ResidualBlock(width, out, embedding))
                width = out
                skips.append(width)
        self.middle_in = ResidualBlock(width, width, embedding)
        self.attention = SelfAttention(width, heads)
        self.middle_out = ResidualBlock(width, width, embedding)
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(ResidualBlock(width + skips.pop(), out, embedding))
                width = out
            if level > 0:
                self.up.append(nn.Upsample(scale_factor=2, mode="nearest"))
        self.norm = nn.GroupNorm(8, width)
        self.out = zeroed(nn.Conv2d(width, folded, 3, padding=1))

    def _wished(self, asked: Tensor) -> Tensor:
        """(n, embedding) of what is asked for, added to that of the time."""
        if not self.vector:
            labels: Tensor = self.label(torch.where(asked < 0, self.classes, asked))
            return labels
        anything = asked.any(dim=1, keepdim=True)
        of_unit_variance = asked * math.sqrt(self.vector)
        return torch.where(anything, self.wish(of_unit_variance), self.nothing)

    def forward(self, x: Tensor, t: Tensor, asked: Tensor) -> Tensor:
        """Images (n, inputs, h, w), timesteps (n,), labels (n,), -1 for none → like the images.

        Or, of a text encoder, unit vectors (n, vector), zeros for none.
        """
        condition = self.time(timestep_embedding(t, self.embedding))
        condition = F.silu(condition + self._wished(asked))
        folded = F.pixel_unshuffle(x, self.patch)
        h = self.stem(folded.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for layer in self.down:
            h = layer(h, condition) if isinstance(layer, ResidualBlock) else layer(h)
            skips.append(h)
        h = self.middle_out(self.attention(self.middle_in(h, condition)), condition)
        for layer in self.up:
            if isinstance(layer, ResidualBlock):
                h = layer(torch.cat([h, skips.pop()], dim=1), condition)
            else:
                h = layer(h)
                side = skips[-1].shape[-1]  # of 7, halved to 4 and doubled to 8
                h = h[..., :side, :side]
        return F.pixel_shuffle(self.out(F.silu(self.norm(h))), self.patch)
