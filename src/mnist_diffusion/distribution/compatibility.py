"""What a worker must have in common with the head and the other workers: code, packages, numerics.

Each fact has a name that begins with its kind, `package dvc`, so that one line can tell the first
that differs, and what to do.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from mnist_diffusion.provenance.source import PACKAGE, SOURCE_ROOT
from mnist_diffusion.runtime.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

REFUSALS = {
    "code": ("has other code than here", "bring it to this commit"),
    "package": ("has other packages than here", "install the lock there"),
    "numerics": ("rounds otherwise than the others", "use hosts of one kind, or --mixed"),
}
Facts = dict[str, str]


def require_same(worker: str, expected: Mapping[str, str], theirs: Mapping[str, str]) -> None:
    """UserError, in one line, for the first fact of a worker that is not as expected."""
    for name in sorted({*expected, *theirs}):
        ours, other = expected.get(name, "none"), theirs.get(name, "none")
        if ours != other:
            kind, _, what = name.partition(" ")
            refusal, remedy = REFUSALS[kind]
            raise UserError(f"{worker}: {refusal} ({what}: {ours} and {other}); {remedy}")


def require_same_workers(client: Client, compute: str | None) -> Facts:
    """What all workers of a cluster have in common, with the head's own code and packages.

    `compute` is that section of params.yaml as JSON; None: they may round as they like. UserError
    for a worker that is not as the others, or does not have the device.
    """
    expected = facts()
    for worker, theirs in client.run(facts, compute, on_error="return").items():
        if isinstance(theirs, UserError):
            raise UserError(f"{worker}: {theirs}")
        if isinstance(theirs, Exception):  # it does not even know what it is asked
            raise UserError(f"{worker}: has other code than here ({theirs}); bring it to this one")
        rounding = {name: fact for name, fact in theirs.items() if name.startswith("numerics ")}
        expected = rounding | expected  # those of the first one, which the others are held against
        require_same(worker, expected, theirs)
    return expected


@cache
def facts(compute: str | None = None) -> Facts:
    """Those of this process; with numerics if it is told what to compute on.

    A digest a source file, of its bytes; the versions of what the package requires.
    """
    files = {
        file.relative_to(SOURCE_ROOT).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (SOURCE_ROOT / PACKAGE).rglob("*.py")
    }
    required = map(Requirement, metadata.requires("mnist-diffusion") or ())
    names = [one.name for one in required if not one.marker or one.marker.evaluate({"extra": ""})]
    return (
        {f"code {name}": digest[:12] for name, digest in files.items()}
        | {f"package {name}": metadata.version(name) for name in names}
        | {"package python": platform.python_version()}
        | ({} if compute is None else _numerics(compute))
    )


def _numerics(compute: str) -> Facts:
    """How kernels round there, as manifests tell it; UserError without the device.

    Asked in a process of its own: torch is large, and holds some of a GPU.
    """
    command = [sys.executable, "-m", __name__, compute]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError((done.stderr.splitlines() or ["compute: torch does not start"])[-1])
    return {f"numerics {name}": fact for name, fact in json.loads(done.stdout).items()}


def _tell_numerics(compute: str) -> None:
    from mnist_diffusion.provenance.environment import environment, rounding
    from mnist_diffusion.runtime.compute import configure
    from mnist_diffusion.settings.whole import Compute

    try:
        told = rounding(environment(configure(Compute.model_validate_json(compute))))
    except UserError as error:
        raise SystemExit(str(error)) from None
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _tell_numerics(sys.argv[1])
