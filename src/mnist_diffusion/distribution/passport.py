"""What a process must have in common with those that it works with: code, packages, numerics."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement

from mnist_diffusion.provenance.source import PACKAGE, SOURCE_ROOT, source_digests
from mnist_diffusion.runtime.errors import UserError

DISTRIBUTION = "mnist-diffusion"
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Passport:
    """Of a process: the code of this package, and the versions of Python and what it requires."""

    code: Facts
    packages: Facts

    def require(self, worker: str, theirs: Passport) -> None:
        """UserError, in one line, for a worker of other code or packages."""
        if what := difference(self.code, theirs.code):
            raise UserError(f"{worker}: other code than here ({what}); bring it to this commit")
        if what := difference(self.packages, theirs.packages):
            raise UserError(f"{worker}: other packages than here ({what}); install the lock there")


@cache
def passport() -> Passport:
    """That of this process."""
    return Passport(_code(), {"python": platform.python_version(), **_packages()})


@cache
def numerics(compute: str) -> dict[str, str]:
    """What the last bits of results depend on here, as manifests name it; `gpus` beside it.

    `compute` is that section of params.yaml as JSON. Asked in a process of its own: torch is large.
    UserError if there is no such device here.
    """
    command = [sys.executable, "-m", __name__, compute]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError((done.stderr.splitlines() or ["numerics: no word"])[-1])
    found: dict[str, str] = json.loads(done.stdout)
    return found


def require_numerics(worker: str, theirs: Facts, other: str, others: Facts) -> None:
    """UserError, in one line, for a worker whose last bits are not those of another."""
    if what := difference(others, theirs):
        raise UserError(
            f"{worker}: rounds otherwise than {other} ({what}); use hosts of one kind, or --mixed"
        )


def difference(ours: Facts, theirs: Facts) -> str:
    """The first fact that is not the same, in words; empty if all are."""
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            return f"{name}: {ours.get(name, 'none')} and {theirs.get(name, 'none')}"
    return ""


def _code() -> dict[str, str]:
    """A digest by file, so that a difference can be named; comments do not count."""
    digests = source_digests(sorted((SOURCE_ROOT / PACKAGE).rglob("*.py")))
    return {name: digest[:12] for name, digest in digests.items()}


def _packages() -> dict[str, str]:
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # it runs from its source alone
        required = ["dask", "distributed", "dvc", "numpy", "torch"]
    parsed = map(Requirement, required)
    wanted = [one.name for one in parsed if not one.marker or one.marker.evaluate({"extra": ""})]
    return {name: _version(name) for name in wanted}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _tell(compute: str) -> None:
    """The numerics of this process, as JSON."""
    from mnist_diffusion.provenance.environment import environment
    from mnist_diffusion.runtime.compute import configure
    from mnist_diffusion.settings.whole import Compute

    try:
        device = configure(Compute.model_validate_json(compute))
    except UserError as error:
        raise SystemExit(str(error)) from None
    import torch

    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    told = environment(device) | {"gpus": str(gpus)}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _tell(sys.argv[1])
