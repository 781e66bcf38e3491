"""Instructions: the bits of any x86-64 processor with AVX2, and no silent overruling."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from mnist_diffusion.runtime import instructions
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.runtime.instructions import (
    AVX2,
    has_avx2,
    limit_instructions,
    without_avx2,
)

GOLDEN_TORCH = "2.14.1"
GOLDEN = {
    "capability": "AVX2",
    "convolution": "c531d61c49b6 5116659159d8",
    "attention": "398d61b8a29d",
    "matmul": "483f8592054e",
    "elementwise": "8d546f20ca8f",
}
"""What a Zen 3 gives, which has AVX2 and no more; a Zen 4, which has AVX-512, gave the same."""
PROBE = """
import hashlib
import numpy as np, torch
from torch.nn import functional as F
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Compute
configure(Compute(device="cpu", instructions="avx2"))

def tensor(seed, *shape):
    normal = np.random.RandomState(seed).standard_normal(shape)
    return torch.from_numpy(normal.astype(np.float32))

def digest(*tensors):
    arrays = [t.detach().contiguous().numpy().tobytes() for t in tensors]
    return hashlib.sha256(b"".join(arrays)).hexdigest()[:12]

last = torch.channels_last
x = tensor(1, 32, 24, 14, 14).contiguous(memory_format=last).requires_grad_()
w = tensor(2, 24, 24, 3, 3).contiguous(memory_format=last).requires_grad_()
y = F.conv2d(x, w, padding=1)
y.square().mean().backward()
q, a, e = tensor(4, 32, 4, 49, 12), tensor(5, 432, 96), tensor(8, 10007)
print("capability", torch.backends.cpu.get_cpu_capability())
print("convolution", digest(y), digest(x.grad, w.grad))
print("attention", digest(F.scaled_dot_product_attention(q, q.flip(0), q.flip(2))))
print("matmul", digest(a @ a.T))
print("elementwise", digest(e.exp(), e.tanh(), e.abs().log(), e.sin()))
"""


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing, on a processor that has AVX2."""
    for variable in AVX2:
        monkeypatch.setenv(variable, "")  # so that what a test sets is undone
        monkeypatch.delenv(variable)
    monkeypatch.setattr(instructions, "has_avx2", lambda: True)
    return monkeypatch


@pytest.mark.skipif(not has_avx2(), reason="this processor has no AVX2")
@pytest.mark.skipif(
    not torch.__version__.startswith(GOLDEN_TORCH), reason=f"not torch {GOLDEN_TORCH}"
)
def test_kernels_give_the_bits_of_another_processor_with_avx2() -> None:
    environment = {key: value for key, value in os.environ.items() if key not in AVX2}
    told = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert dict(line.split(" ", 1) for line in told.splitlines()) == GOLDEN


def test_avx2_is_set_for_this_process_and_its_children(bare: pytest.MonkeyPatch) -> None:
    limit_instructions("avx2")
    assert {variable: os.environ.get(variable) for variable in AVX2} == AVX2
    limit_instructions("avx2")


def test_native_leaves_the_environment_alone(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("MKL_CBWR", "COMPATIBLE")
    limit_instructions("native")
    assert [os.environ.get(variable) for variable in AVX2] == [None, None, "COMPATIBLE"]


def test_another_wish_in_the_environment_is_refused(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("ATEN_CPU_CAPABILITY", "default")
    with pytest.raises(UserError) as refused:
        limit_instructions("avx2")
    assert str(refused.value) == (
        "compute.instructions: avx2, but the environment says ATEN_CPU_CAPABILITY=default; "
        "unset ATEN_CPU_CAPABILITY, or set native"
    )


def test_a_processor_without_avx2_works_and_says_so(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(instructions, "has_avx2", lambda: False)
    limit_instructions("avx2")
    assert not set(AVX2) & set(os.environ)
    assert "no AVX2" in (without_avx2("avx2") or "")
    assert without_avx2("native") is None


def test_other_machines_are_not_asked_for_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert not has_avx2()
