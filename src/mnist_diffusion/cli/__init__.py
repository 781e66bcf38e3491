"""The command line: the stages of the pipeline, and what people use beside it."""

import os
import sys
from pathlib import Path

import typer
from safetensors import SafetensorError

from mnist_diffusion.cli import cluster
from mnist_diffusion.files import paths
from mnist_diffusion.provenance.source import require_own_source
from mnist_diffusion.runtime.errors import UserError, describe_os_error

INTERRUPTED = 130
"""The exit code after Ctrl-C."""


def main() -> None:
    """Run a command at the repository's root; the user's mistakes end in one line."""
    try:
        here = Path.cwd()
        # Without it cuBLAS is not deterministic; it is read when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if {*sys.argv[1:2]} & {*cluster.COMMANDS}:
            cluster.app()
        os.chdir(_root())
        require_own_source()
        every_command()(obj=here)
    except (UserError, OSError, SafetensorError) as error:  # such as a full disk
        told = error if isinstance(error, UserError) else describe_os_error(error)
        print(f"error: {told}", file=sys.stderr)
        raise SystemExit(1) from None
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            sys.stderr.flush()
            os._exit(INTERRUPTED)  # or Python would wait for the threads that share the work
        raise


def every_command() -> typer.Typer:
    """Stages, tools and what a cluster is made of."""
    from mnist_diffusion.cli import stages, tools  # here: workers do without

    app = typer.Typer(
        help="Compare diffusion models on MNIST. The stages are run by `dvc repro`.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for part in (stages, tools, cluster):
        app.add_typer(part.app)
    return app


def _root() -> Path:
    """The nearest folder upwards that holds params.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / paths.PARAMS).exists():
            return folder
    raise UserError(f"{paths.PARAMS}: not found here or above; go to the repository")
