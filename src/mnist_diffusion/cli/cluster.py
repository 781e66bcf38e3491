"""`mnist-diffusion scheduler | worker | tls`: what a cluster is made of; small, for there are many.

They need no repository: workers are sent one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
COMMANDS = ("scheduler", "worker", "tls")
PANEL = "Cluster"


@app.command(rich_help_panel=PANEL)
def scheduler(
    file: Annotated[
        Path | None, typer.Option("--scheduler-file", help="Write the address to this file.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Listen on this address alone.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8786,
) -> None:
    """Share stages out among workers, for `make repro CLUSTER=…`."""
    from mnist_diffusion.distribution.worker import schedule

    schedule(file, host, port)


@app.command(rich_help_panel=PANEL)
def worker(
    address: Annotated[str, typer.Argument(help="The scheduler's tls:// address, or its file.")],
    gpus: Annotated[
        int, typer.Option("--gpus-per-worker", min=0, help="0: none, where there are some.")
    ] = 1,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Of each worker; else 1, or a GPU's share.")
    ] = None,
) -> None:
    """Run stages of projects on this host: one a GPU at a time, or one a core."""
    from mnist_diffusion.distribution.worker import work

    work(address, gpus, cores)


@app.command(rich_help_panel=PANEL)
def tls() -> None:
    """Make the certificate that all machines of a cluster need, once."""
    from mnist_diffusion.distribution.security import write_certificate

    typer.echo(f"{write_certificate()}: copy this folder to all machines of the cluster")
