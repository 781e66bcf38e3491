"""The device and its arithmetic: what is picked, what is refused, what is fixed before work begins.

No GPU is needed: that torch reports one is pretended, and nothing is computed on it.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch

from mnist_diffusion.provenance.environment import KERNEL_VARIABLES
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Compute

REPOSITORY = Path(__file__).parents[2]
Wanted = Literal["auto", "cpu", "cuda"]


def configured(wanted: Wanted, there: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    return str(configure(Compute(device=wanted, instructions="avx2")))


@pytest.mark.parametrize(
    ("wanted", "there", "picked"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cuda", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
    ],
)
def test_the_device_is_the_one_asked_for(wanted, there, picked, monkeypatch):
    assert configured(wanted, there, monkeypatch) == picked


def test_a_gpu_that_is_asked_for_and_missing_is_not_replaced(monkeypatch):
    with pytest.raises(UserError, match=r"compute.device: cuda is forced but not there; set auto"):
        configured("cuda", False, monkeypatch)


@pytest.mark.parametrize("wanted", ["cpu", "cuda"])
def test_arithmetic_is_fixed_whatever_was_set_before(wanted, monkeypatch):
    torch.use_deterministic_algorithms(False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    configured(wanted, True, monkeypatch)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert wanted == "cpu" or not torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False


def test_the_command_line_makes_cublas_deterministic_before_cuda_starts():
    """cuBLAS reads the variable once; a manifest names it among those that choose kernels."""
    shown = "lambda: lambda **_: print(os.environ.get({!r}))"
    told = f"import os, mnist_diffusion.cli as c; c.every_command = {shown}"
    name = "CUBLAS_WORKSPACE_CONFIG"
    command = [sys.executable, "-c", f"{told.format(name)}; c.main()"]
    environment = {key: value for key, value in os.environ.items() if key != name}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == ":4096:8\n"
    assert name.startswith(KERNEL_VARIABLES)
