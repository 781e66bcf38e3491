"""Get the four MNIST files."""

from mnist_diffusion import paths
from mnist_diffusion.dataset.canonical import SHA256
from mnist_diffusion.dataset.fetch import fetch
from mnist_diffusion.settings import Settings
from mnist_diffusion.stages.record import Record


def run(settings: Settings) -> Record:
    """Fill data/raw; no setting has a say in what MNIST is."""
    source = fetch(paths.RAW)
    return Record(
        params={"source": source},
        tags={f"output.{name}": digest for name, digest in SHA256.items()},
    )
