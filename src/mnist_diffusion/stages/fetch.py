"""Get the four MNIST files."""

from mnist_diffusion.dataset.canonical import SHA256
from mnist_diffusion.dataset.fetch import fetch
from mnist_diffusion.files import paths
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record


def run(settings: Settings) -> None:
    """Fill data/raw; no setting has a say in what MNIST is."""
    fetch(paths.RAW)


def record(settings: Settings) -> Record:
    """The digests that the files are known by; wherever they came from, they are the same."""
    return Record(tags={f"output.{name}": digest for name, digest in SHA256.items()})
