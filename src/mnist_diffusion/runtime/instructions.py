"""Which instructions of the processor kernels may use.

Kernels with AVX-512 round otherwise than those with AVX2. Kept to AVX2, ATen, oneDNN and MKL give
the same bits on every x86-64 processor that has it: tests/unit/test_instructions.py holds the
digests of one against all others.
"""

import os
import platform
from importlib import import_module
from typing import Literal

from mnist_diffusion.runtime.errors import UserError

Instructions = Literal["avx2", "native"]
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
"""Read by torch's libraries at the first kernel of theirs, and never again."""


def limit_instructions(wanted: Instructions) -> None:
    """Keep this process, and those that it starts, to `wanted`; before anything is computed.

    A processor without AVX2 uses what it has, and manifests say so. UserError if the environment
    asks for other instructions: it is not for either to overrule the other in silence.
    """
    if wanted == "native" or not has_avx2():
        return
    for variable, value in AVX2.items():
        found = os.environ.setdefault(variable, value)
        if found != value:
            raise UserError(
                f"compute.instructions: avx2, but the environment says {variable}={found}; "
                f"unset {variable}, or set native"
            )


def without_avx2(wanted: Instructions) -> str | None:
    """What to tell whoever wants AVX2 where there is none."""
    if wanted == "native" or has_avx2():
        return None
    return (
        "compute.instructions: this processor has no AVX2, and uses its own instructions; "
        "last bits are those of its kind"
    )


def has_avx2() -> bool:
    """Whether the processor and the system have AVX2."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return bool(import_module("numpy._core._multiarray_umath").__cpu_features__["AVX2"])
