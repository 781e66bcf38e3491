"""code: the digests of what each stage is made of; DVC reruns a stage when its own change."""

from mnist_diffusion.files import paths
from mnist_diffusion.files.jsonfile import write_json
from mnist_diffusion.pipeline import STAGES, Outcome
from mnist_diffusion.provenance.source import stage_code
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> Outcome:
    """Write one file a stage; no setting has a say in what the source is."""
    for stage in STAGES:
        if stage != "code":
            write_json(paths.code(stage), stage_code(stage))
    return Outcome()
