"""What besides code, data and parameters can move the last bits of a result."""

import hashlib
import os
import platform
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
