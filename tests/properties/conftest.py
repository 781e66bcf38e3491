"""How hypothesis runs here: few examples, the same each time, and nothing left on disk."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile(
    "repeatable", max_examples=30, deadline=None, derandomize=True, database=None
)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tensors this small lose more by threads than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
