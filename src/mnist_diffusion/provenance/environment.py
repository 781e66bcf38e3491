"""Where a result was made: what can move its last bits, and the commit that git is at."""

import hashlib
import os
import platform
import subprocess
from pathlib import Path

KERNEL_VARIABLES = (
    "ATEN_",
    "CUBLAS_",
    "DNNL_",
    "MKL_",
    "NVIDIA_TF32_",
    "ONEDNN_",
    "TORCH_ALLOW_TF32_",
)
"""Prefixes of environment variables that choose kernels, and with them the last bits."""
DECIDING = ("src", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides a result; dvc.lock and the reports change in every repro and are not dirt."""
ANY_OWNER = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
"""git refuses a repository of another user, such as a container's mount, where this is not said."""


def environment(device: object = None) -> dict[str, str]:
    """Versions and processor: the same on every call on one machine, no clock, no host's name.

    With the `device` that a stage computes on, also what else its last bits depend on.
    """
    import numpy
    import torch

    here = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
    }
    return here if device is None else here | _arithmetic(device)


def git_commit() -> dict[str, str | bool | None]:
    """The commit that the sources stand at, and whether they differ from it; null: no git."""
    changes = git("status", "--porcelain", "--", *DECIDING)
    dirty = None if changes is None else bool(changes)
    return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": dirty}


def git(*arguments: str) -> str | None:
    """What a git command that only reads prints, or None where there is no git or no repository."""
    command = ["git", *ANY_OWNER, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _arithmetic(device: object) -> dict[str, str]:
    import torch

    chosen = sorted(item for item in os.environ.items() if item[0].startswith(KERNEL_VARIABLES))
    return {
        "device": str(device),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:16],
        "variables": " ".join(f"{key}={value}" for key, value in chosen),
    }


def _cpu_model() -> str:
    """The processor's name as Linux tells it; elsewhere as the platform does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
