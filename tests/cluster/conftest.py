"""A cluster of Slurm's for the tests, or why there is none."""

import os
import shutil
from collections.abc import Iterator

import pytest
from slurm import NEEDED, PACKAGES, Slurm


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Three nodes with two GPUs each, so Slurm believes."""
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(missing)} here; apt-get install {PACKAGES}")
    if os.geteuid():
        pytest.skip("needs root, to give each node a network of its own")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"), nodes=3, gpus=2)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
