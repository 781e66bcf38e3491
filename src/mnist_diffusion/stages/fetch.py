"""Get the four MNIST files."""

from mnist_diffusion.dataset.mirrors import fetch
from mnist_diffusion.files import paths
from mnist_diffusion.settings import Settings


def run(settings: Settings) -> None:
    """Fill data/raw; no setting decides what MNIST is."""
    fetch(paths.RAW)
