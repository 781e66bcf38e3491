"""tstr: train classifiers on a cell's digits, and test them on real ones."""

from typing import Any

from mnist_diffusion.dataset.mnist import Digits
from mnist_diffusion.evaluation.features import load_cell
from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import read_json
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.cell_reports import TstrReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.errors import UserError
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.trtr import recipe, tested


def run(settings: Settings, name: str) -> Outcome:
    """Train on the cell's digits, test, and put beside it what as many real digits teach."""
    device = configure(settings.compute)
    files = [paths.samples(name), paths.PREPARED, paths.TRTR]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    drawn = _drawn(name)
    trtr = read_json(paths.TRTR)
    real = trtr["by_n"][str(len(drawn.labels))]
    report = {
        "cell": name,
        "run": settings.cells[name].run,
        "n": len(drawn.labels),
        **{key: trtr[key] for key in ("n_test", "level", "epochs")},
        **tested(drawn, settings, device),
        "real_accuracy": real["accuracy"],
        "real_interval": real["interval"],
        "samples_sha256": array_digest(drawn.images),
    }
    publish_report(paths.tstr(name), inputs, TstrReport, **report)
    return Outcome(len(drawn.labels) * settings.tstr.epochs)


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """The recipe of trtr; what decides the digits is in their manifest."""
    return {**recipe(settings), "run": settings.cells[name].run}


def _drawn(name: str) -> Digits:
    drawn = load_cell(name)
    if (drawn.labels < 0).any():
        raise UserError(f"tstr.cells: {name} was asked for no digits; leave it out")
    return drawn
