"""The parts that networks are built from."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def timestep_embedding(t: Tensor, width: int, longest_period: float = 10_000.0) -> Tensor:
    """Sines and cosines of t at `width`/2 frequencies (Vaswani et al. 2017); (n,) → (n, width)."""
    exponents = torch.arange(width // 2, dtype=torch.float32, device=t.device) / (width // 2)
    angles = t.float()[:, None] * torch.exp(-math.log(longest_period) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zeroed(layer: Layer) -> Layer:
    """Start a layer at zero, so that a residual branch begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, conv, twice; the condition scales and shifts the second norm."""

    def __init__(self, channels_in: int, channels_out: int, condition: int, groups: int = 8):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = zeroed(nn.Linear(condition, 2 * channels_out))
        self.norm2 = nn.GroupNorm(groups, channels_out)
        self.conv2 = zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.skip = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1)
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(n, channels_in, h, w), (n, condition) → (n, channels_out, h, w)."""
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = torch.addcmul(shift, self.norm2(h), 1 + scale)
        output: Tensor = self.skip(x) + self.conv2(F.silu(h))
        return output


class SelfAttention(nn.Module):
    """Attention over all pixels of a feature map, as a residual branch."""

    def __init__(self, channels: int, heads: int, groups: int = 8):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → the same shape."""
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)
        q, k, v = qkv.view(n, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = mixed.permute(0, 2, 1, 3).reshape(n, h, w, c).permute(0, 3, 1, 2)
        output: Tensor = x + self.out(mixed)
        return output
