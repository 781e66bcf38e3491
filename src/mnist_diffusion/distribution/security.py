"""Mutual TLS: one certificate for all processes of a cluster; whoever has its key is one of them.

Nothing else guards a cluster: who may speak to its scheduler may run anything on its workers.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from distributed.security import Security

from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.runtime.errors import UserError

SECONDS_FOR_FILE = 30.0
"""Which a scheduler that was started beside this process may take to write its file."""


def folder() -> Path:
    """Where the certificate and its key lie."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "mnist-diffusion"


def write_certificate() -> Path:
    """Make a certificate and its key, for a year; the folder. Other machines need copies of both.

    They are those that Dask makes for a cluster within one process.
    """
    certificate, key = _files()
    if certificate.exists() or key.exists():
        raise UserError(f"{certificate}: is there already; copy it, or remove both first")
    made = Security.temporary()
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_once(key, made.tls_worker_key)
    _write_once(certificate, made.tls_worker_cert)
    return folder()


def security() -> Security:
    """What Dask must know to speak TLS and nothing else; UserError if there is no certificate."""
    certificate, key = _files()
    if not (certificate.exists() and key.exists()):
        raise UserError(
            f"{folder()}: has no certificate; run `mnist-diffusion tls` once, "
            "and copy that folder to all machines"
        )
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=str(certificate),
        **{f"tls_{role}_cert": str(certificate) for role in roles},
        **{f"tls_{role}_key": str(key) for role in roles},
    )


def address_of(scheduler: str) -> str:
    """A scheduler's address, or that in the file that it writes; UserError unless tls://."""
    address = scheduler if "://" in scheduler else _address_in(Path(scheduler))
    if not address.startswith("tls://"):
        raise UserError(f"{address}: is not encrypted; give the tls:// address of a scheduler")
    return address


def _address_in(file: Path) -> str:
    """What a scheduler that is starting writes to a file, once it is there."""
    deadline = time.monotonic() + SECONDS_FOR_FILE
    while not (file.exists() and file.stat().st_size):
        if time.monotonic() > deadline:
            raise UserError(
                f"{file}: no scheduler has written it; give its --scheduler-file, or tls://HOST:PORT"
            )
        time.sleep(0.2)
    told = read_json(file)
    if not isinstance(told, dict) or "address" not in told:
        raise UserError(f"{file}: is not the file of a scheduler; give its --scheduler-file")
    return str(told["address"])


def _files() -> tuple[Path, Path]:
    return folder() / "cert.pem", folder() / "key.pem"


def _write_once(path: Path, content: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
