"""Captions and digits as vectors of one space, near each other where a caption is true of a digit.

The two towers of CLIP (Radford et al. 2021), small, with the scale and bias of SigLIP (Zhai et al.
2023): each pair of a caption and a digit is a yes or no of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
FIRST_SCALE = 10.0
FIRST_BIAS = -5.0
"""Most pairs are no: a network that knows nothing says so (Zhai et al. 2023)."""


class TextEncoder(nn.Module):
    """A transformer over tokens, its outputs averaged over those that are not padding."""

    def __init__(
        self,
        *,
        tokens: int,
        length: int,
        padding: int,
        width: int,
        layers: int,
        heads: int,
        vector: int,
    ):
        """`tokens` there are, `length` of a text, `padding` the one that says nothing."""
        super().__init__()
        self.sizes = {
            **{"tokens": tokens, "length": length, "padding": padding},
            **{"width": width, "layers": layers, "heads": heads, "vector": vector},
        }
        self.padding = padding
        self.words = nn.Embedding(tokens, width)
        self.places = nn.Parameter(torch.empty(length, width))
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.places, std=0.02)
        self.layers = nn.ModuleList(TransformerLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, vector)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) int64 → unit vectors (n, vector)."""
        there = tokens != self.padding
        h = self.words(tokens) + self.places
        for layer in self.layers:
            h = layer(h, there)
        weights = there[:, :, None].to(h.dtype)
        mean = (self.norm(h) * weights).sum(dim=1) / weights.sum(dim=1)
        return F.normalize(self.out(mean), dim=1)


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and a GELU network of twice the width.

    Not nn.TransformerEncoderLayer: in evaluation that takes another path, with other bits.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """(n, length, width), and which places (n, length) may be looked at → like the first."""
        n, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :])
        x = x + self.mix(mixed.transpose(1, 2).reshape(n, length, width))
        output: Tensor = x + self.narrow(F.gelu(self.widen(self.norm2(x))))
        return output


class ImageEncoder(nn.Module):
    """Four convolutions, down to 4×4, and a linear layer."""

    def __init__(self, *, channels: Sequence[int], vector: int):
        """Three `channels`, multiples of 8."""
        super().__init__()
        fine, middle, coarse = channels
        self.body = nn.Sequential(
            *_convolution(1, fine, 5, 2),
            *_convolution(fine, middle, 3, 2),
            *_convolution(middle, coarse, 3, 1),
            *_convolution(coarse, coarse, 3, 2),
            nn.Flatten(),
        )
        self.out = nn.Linear(coarse * 4 * 4, vector)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, 1, 28, 28) in [-1, 1] → unit vectors (n, vector)."""
        features = self.body(x.contiguous(memory_format=torch.channels_last))
        return F.normalize(self.out(features), dim=1)


class Clip(nn.Module):
    """Both towers, and how sure a similarity of theirs is."""

    def __init__(
        self, *, text: dict[str, int], image: dict[str, Sequence[int]], vector: int
    ) -> None:
        """Sizes of the towers, and the `vector` they share."""
        super().__init__()
        self.text = TextEncoder(**text, vector=vector)
        self.image = ImageEncoder(**image, vector=vector)
        self.log_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.bias = nn.Parameter(torch.tensor(FIRST_BIAS))

    def forward(self, tokens: Tensor, images: Tensor) -> Tensor:
        """Tokens (n, length), images (m, 1, 28, 28) → logits (n, m) of a caption being true."""
        logits: Tensor = self.text(tokens) @ self.image(images).T * self.log_scale.exp() + self.bias
        return logits


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(GROUPS, channels_out),
        nn.SiLU(),
    ]


ENCODERS: dict[str, Callable[..., nn.Module]] = {"clip": Clip, "text": TextEncoder}
"""What the config of a text encoder may name."""
