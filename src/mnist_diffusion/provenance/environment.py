"""Where a result was made: how kernels round there, names for people, and git's commit."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
ROUNDING = ("numerics", "torch", "torch_build", "numpy")
"""What of an environment promises equal bits; the rest is for people, or acts through these."""
DECIDING = ("src", "params.yaml", "dvc.yaml", "requirements.lock")
"""What decides a result; dvc.lock and the reports change in every repro and are not dirt."""
MODEL = {"cpu family": "family", "model": "model", "stepping": "stepping"}
ANY_OWNER = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false")
"""git refuses a repository of another user, such as a container's mount, where this is not said."""


def environment(device: object = None) -> dict[str, str]:
    """Versions and processor: the same on every call on one machine, no clock, no host's name.

    With the `device` that a stage computes on, also how its kernels round; after `configure`.
    """
    import numpy
    import torch

    here = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        **_processor(),
    }
    return here if device is None else here | _arithmetic(device, here)


def rounding(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment must be another's for results of the same bits."""
    return {name: environment[name] for name in ROUNDING if name in environment}


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


def _arithmetic(device: object, here: Mapping[str, str]) -> dict[str, str]:
    import torch

    from mnist_diffusion.provenance.numerics import numerics

    chosen = sorted(item for item in os.environ.items() if item[0].startswith(KERNEL_VARIABLES))
    there = {
        "device": str(device),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:16],
        "variables": " ".join(f"{key}={value}" for key, value in chosen),
    }
    return there | {"numerics": numerics(device, str({**here, **there}))}


def _processor() -> dict[str, str]:
    """The processor's name as Linux tells it, or as the platform does, and which model that is."""
    facts: dict[str, str] = {}
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
        facts = {key.strip(): fact.strip() for key, _, fact in (x.partition(":") for x in lines)}
    model = [f"{name} {facts[key]}" for key, name in MODEL.items() if key in facts]
    return {
        "cpu": facts.get("model name") or platform.processor() or "unknown",
        "cpu_model": ", ".join([*model, *_caches()]) or "unknown",
    }


def _caches() -> Iterator[str]:
    """The sizes of the first core's caches, from the nearest, as `L2 1024K`."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        with suppress(OSError):
            level, kind, size = (
                (folder / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                yield f"L{level} {size}"
