"""seams: how well drawn halves of digits go with the real ones, to reports/seams/<cell>.json."""

from typing import Any

from mnist_diffusion.dataset.pixels import to_uint8
from mnist_diffusion.evaluation.features import load_cell
from mnist_diffusion.evaluation.seams import jumps
from mnist_diffusion.files import paths
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.encoder_reports import SeamsReport
from mnist_diffusion.sampling.known import load_known
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.resolve import resolve_cell


def run(settings: Settings, name: str) -> Outcome:
    """Measure the edge in the cell's images, and in the digits that their halves are of."""
    files = [paths.samples(name), paths.PREPARED]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files)
    half = resolve_cell(settings.cells[name], settings.sample).inpaint
    images, _ = load_cell(name)
    real = to_uint8(load_known(half).of(range(len(images))))
    report = {
        **inputs.parameters,
        "cell": name,
        "n": len(images),
        "drawn": [float(f"{jump:.6g}") for jump in jumps(images, half)],
        "real": [float(f"{jump:.6g}") for jump in jumps(real, half)],
        "samples_sha256": array_digest(images),
    }
    publish_report(paths.seams(name), inputs, SeamsReport, **report)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What was drawn, and how strongly it was asked for."""
    cell = resolve_cell(settings.cells[name], settings.sample)
    return {"run": cell.run, "inpaint": cell.inpaint, "guidance": cell.guidance}
