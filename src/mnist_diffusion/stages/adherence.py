"""adherence: whether a text run's digits look as they were asked to, to reports/adherence/."""

from typing import Any

import numpy as np

from mnist_diffusion.dataset.attributes import Attributes
from mnist_diffusion.dataset.captioned import load_attributes, load_levels, load_meaning
from mnist_diffusion.dataset.pixels import to_tensor
from mnist_diffusion.evaluation.adherence import means_of_real, scores
from mnist_diffusion.evaluation.features import classify, load_cell
from mnist_diffusion.files import paths
from mnist_diffusion.networks import checkpoint
from mnist_diffusion.networks.judges import JUDGES
from mnist_diffusion.pipeline import Outcome
from mnist_diffusion.provenance.digests import array_digest, arrays_digest
from mnist_diffusion.provenance.lineage import publish_report, snapshot_inputs
from mnist_diffusion.provenance.schemas.encoder_reports import AdherenceReport
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.sampling.wishes import asked_of_all
from mnist_diffusion.settings import Settings
from mnist_diffusion.settings.resolve import resolve_cell


def run(settings: Settings, name: str) -> Outcome:
    """Measure the cell's images, and hold them against its prompts."""
    device = configure(settings.compute)
    files = [paths.samples(name), paths.CAPTIONS, paths.CLASSIFIER]
    inputs = snapshot_inputs(__name__, name, settings, parameters, files, device)
    images, _ = load_cell(name)
    classifier, _ = checkpoint.load(paths.CLASSIFIER, JUDGES)
    judged = classify(classifier.to(device), to_tensor(images), device)
    seen = np.asarray(judged.seen)
    meaning = load_meaning()
    asked = asked_of_all(len(images), resolve_cell(settings.cells[name], settings.sample).prompts)
    report = {
        **inputs.parameters,
        "cell": name,
        "n": len(images),
        **scores(asked, Attributes.of(images), seen, meaning.bands, meaning.corners),
        "real": means_of_real(load_attributes("test"), load_levels("test")),
        "samples_sha256": array_digest(images),
        "classifier_sha256": arrays_digest(checkpoint.weights(classifier)),
    }
    publish_report(paths.adherence(name), inputs, AdherenceReport, **report)
    return Outcome(len(images))


def parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What was asked, and how strongly."""
    cell = resolve_cell(settings.cells[name], settings.sample)
    return {"run": cell.run, "prompts": cell.prompts, "guidance": cell.guidance}
