"""What several kinds of tests share."""

from pathlib import Path

import pytest

from mnist_diffusion.dataset import mnist
from mnist_diffusion.dataset.fetch import fetch
from mnist_diffusion.runtime.instructions import limit_instructions

REPOSITORY = Path(__file__).parents[1]

limit_instructions("avx2")  # as stages do: before the first kernel of this process


@pytest.fixture(scope="session")
def raw_mnist() -> Path:
    """A folder with the four MNIST files, to read or to copy from: data/raw, or else a cache.

    The cache outlives the tests, which would otherwise fetch the files each time.
    """
    raw, cache = REPOSITORY / "data/raw", REPOSITORY / ".work/mnist"
    if not mnist.missing(raw):
        return raw
    fetch(cache)
    return cache
