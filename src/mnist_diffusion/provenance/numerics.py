"""How kernels round here: one digest of what a battery of those in use gives.

Machines of one digest make results of the same bits, whatever their processors are called. What the
battery computes is written out below and uses no network and no setting of the project: an edit of
those leaves the digest of a machine as it was.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from mnist_diffusion.files.atomic import write_atomically

BOOT = Path("/proc/sys/kernel/random/boot_id")
HEXADECIMAL = 16
"""Digits of the digest."""
CONVOLUTIONS = (  # images, channels in and out, side, kernel, stride
    *((32, 4, 24, 14, 3, 1), (32, 24, 24, 14, 3, 1), (32, 24, 24, 14, 3, 2), (32, 24, 4, 14, 3, 1)),
    *((32, 48, 48, 7, 3, 1), (32, 96, 48, 7, 3, 1), (32, 48, 144, 7, 1, 1), (64, 24, 48, 7, 3, 2)),
    *((50, 24, 24, 14, 3, 1), (50, 48, 48, 7, 3, 1), (200, 48, 48, 4, 3, 1), (8, 96, 192, 7, 3, 1)),
    *((128, 1, 32, 28, 5, 2), (128, 32, 48, 14, 3, 1), (64, 1, 32, 28, 4, 2)),
)
"""Of training, of drawing in pixels and in latent space, of larger networks, of the judges."""


def numerics(device: object, facts: str) -> str:
    """The digest, computed once a boot for a device and `facts` that it may depend on.

    To be asked after `configure`. Leaves random states, threads and gradients as they were. Where
    there is no boot's name, or no place to keep it, it is computed each time: a second or less.
    """
    path = _place(f"{device}\n{facts}")
    with suppress(OSError, UnicodeDecodeError):
        known = path.read_text(encoding="ascii") if path else ""
        if len(known) == HEXADECIMAL and not set(known) - set("0123456789abcdef"):
            return known
    found = probe(torch.device(str(device)))
    if path:
        with suppress(OSError):
            write_atomically(path, found)
    return found


def probe(device: torch.device) -> str:
    """What the battery gives on a device, as one digest."""
    digest = hashlib.sha256()
    with _undisturbed():
        for result in _battery(device):
            digest.update(result.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:HEXADECIMAL]


def _place(facts: str) -> Path | None:
    """The file that keeps the digest; named by all that it hangs on, this source included."""
    try:
        source = Path(__file__).read_text(encoding="utf-8")
        told = "\n".join([BOOT.read_text(encoding="ascii"), facts, source])
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except (OSError, RuntimeError):  # no such boot; a user without a home
        return None
    return cache / "mnist-diffusion" / f"numerics-{hashlib.sha256(told.encode()).hexdigest()[:32]}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """One thread, and gradients, whatever the caller has; it has its own again afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def _battery(device: torch.device) -> Iterator[Tensor]:
    source = torch.Generator().manual_seed(0)

    def numbers(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Between -1 and 1, to 20 bits: from integers, which all machines draw alike."""
        return (torch.randint(-(2**19), 2**19, shape, generator=source).to(dtype) / 2**19).to(
            device
        )

    for count in (9, 784, 10007):  # by one, and by vectors: noise is drawn on the processor
        yield torch.randn(count, generator=source)
        yield torch.rand(count, generator=source)
    for n, c_in, c_out, side, kernel, stride in CONVOLUTIONS:
        x, w = _learned(numbers(n, c_in, side, side), numbers(c_out, c_in, kernel, kernel))
        yield from _both_ways(F.conv2d(x, w, stride=stride, padding=kernel // 2), x, w)
    x, w = _learned(numbers(50, 64, 7, 7), numbers(64, 32, 4, 4))
    yield from _both_ways(F.conv_transpose2d(x, w, stride=2, padding=1), x, w)
    yield from _parts_of_networks(numbers(32, 48, 7, 7), numbers(32, 4, 49, 12), numbers(32, 96))
    yield from _elementwise(numbers(10007), numbers(1003, 101))
    yield from _products(numbers(432, 48), numbers(500, 128), numbers(96, 128))
    yield from _in_double_precision(numbers(1000, 128, dtype=torch.float64).cpu())
    yield from _trained([numbers(*shape) for shape in WEIGHTS], numbers(32, 4, 14, 14))


def _learned(*tensors: Tensor) -> list[Tensor]:
    """Images and kernels in the layout of networks, to be differentiated by."""
    layout = torch.channels_last
    return [t.contiguous(memory_format=layout).requires_grad_() for t in tensors]


def _both_ways(output: Tensor, *inputs: Tensor) -> Iterator[Tensor]:
    yield output
    yield from torch.autograd.grad(output.square().mean(), inputs)


def _parts_of_networks(x: Tensor, q: Tensor, flat: Tensor) -> Iterator[Tensor]:
    """Norms, activations, attention, pooling and losses, with their gradients."""
    (x,) = _learned(x)
    q, flat = q.requires_grad_(), flat.requires_grad_()
    there = (torch.arange(q.shape[2], device=q.device) < q.shape[2] // 2)[None, None, None]
    attend = F.scaled_dot_product_attention
    labels = torch.arange(len(flat), device=flat.device) % flat.shape[1]
    yield from _both_ways(F.silu(F.group_norm(x, 8)), x)
    yield from _both_ways(F.relu(F.batch_norm(x, None, None, training=True)), x)
    yield from _both_ways(F.max_pool2d(x, 2), x)
    yield from _both_ways(attend(q, q.flip(0), q.flip(2)), q)
    yield from _both_ways(attend(q, q.flip(0), q.flip(2), attn_mask=there), q)
    yield from _both_ways(F.gelu(F.layer_norm(flat, flat.shape[1:])), flat)
    yield from _both_ways(F.normalize(flat, dim=1), flat)
    yield from _both_ways(F.cross_entropy(flat, labels, reduction="none"), flat)
    yield from _both_ways(F.binary_cross_entropy_with_logits(flat, flat.detach().abs()), flat)


def _elementwise(x: Tensor, table: Tensor) -> Iterator[Tensor]:
    for function in (torch.exp, torch.expm1, torch.tanh, torch.sigmoid, torch.sin, torch.cos):
        yield function(x * 8)
    for function in (torch.log, torch.sqrt, torch.rsqrt):
        yield function(x.abs() + 2**-10)
    yield torch.lerp(x, x.flip(0), 0.05)
    yield torch.addcmul(x, x, x.flip(0))
    yield from (table.sum(), table.mean(0), table.var(1), table.norm(), table.softmax(1))


def _products(kernels: Tensor, features: Tensor, weights: Tensor) -> Iterator[Tensor]:
    """Products at the shapes of linear layers, of distances, and of Muon's iteration."""
    yield F.linear(features, weights)
    yield features.T @ features
    yield torch.cdist(features, features[:100])
    x = kernels.T / kernels.norm()
    for _ in range(3):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7, alpha=2.0), x, beta=3.4)
    yield x


def _in_double_precision(features: Tensor) -> Iterator[Tensor]:
    """What distances between sets are computed by, and schedules: on the processor."""
    covariance = torch.cov(features.T)
    yield covariance
    yield from torch.linalg.eigh(covariance)
    yield features[:, 0].abs().log().cumsum(0).exp()
    yield features.flatten().cos().sum(0, keepdim=True)


WEIGHTS = (
    *((24, 4, 3, 3), (24, 24, 3, 3), (48, 24, 3, 3), (144, 48, 1, 1), (48, 48, 1, 1)),
    *((24, 72, 3, 3), (4, 24, 3, 3), (48, 96)),
)
"""Of a small U-Net: two levels, one skip, attention at the coarser, a shift by the timestep."""


def _trained(weights: list[Tensor], x: Tensor, steps: int = 3) -> Iterator[Tensor]:
    """Some steps of a small U-Net's training, in which a difference of one bit grows."""
    weights = [w.div(w[0].numel() ** 0.5).requires_grad_() for w in weights]
    optimiser = torch.optim.AdamW(weights, lr=1e-2)
    times = torch.arange(len(x), device=x.device)[:, None] * 31.0
    for _ in range(steps):
        output = _unet(weights, x.contiguous(memory_format=torch.channels_last), times)
        loss = (output - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        yield output
    yield from weights


def _unet(weights: list[Tensor], x: Tensor, times: Tensor) -> Tensor:
    stem, block, down, qkv, mixed, up, out, shift = weights
    periods = torch.exp(-torch.arange(48, device=x.device) / 5)
    moment = torch.cat([(times * periods).cos(), (times * periods).sin()], dim=1)
    fine = F.conv2d(x, stem, padding=1)
    fine = fine + F.conv2d(F.silu(F.group_norm(fine, 8)), block, padding=1)
    h = F.conv2d(F.silu(F.group_norm(fine, 8)), down, stride=2, padding=1)
    h = h + F.linear(F.silu(moment), shift)[:, :, None, None]
    n, c, height, width = h.shape
    parts = F.conv2d(F.group_norm(h, 8), qkv).flatten(2).transpose(1, 2)
    q, k, v = parts.view(n, height * width, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
    seen = F.scaled_dot_product_attention(q, k, v).permute(0, 1, 3, 2).reshape(h.shape)
    h = F.interpolate(h + F.conv2d(seen, mixed), scale_factor=2.0, mode="nearest")
    h = F.silu(F.group_norm(F.conv2d(torch.cat([h, fine], dim=1), up, padding=1), 8))
    return F.conv2d(h, out, padding=1)
