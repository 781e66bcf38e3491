"""Work shared out among threads: the same bits by any number of them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from mnist_diffusion.networks.simple import SimpleDenoiser
from mnist_diffusion.networks.unet import UNet
from mnist_diffusion.runtime import threads
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.runtime.threads import VARIABLE, parallel_map
from mnist_diffusion.settings import Compute
from mnist_diffusion.training.data_parallel import data_parallel

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def so_many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(threads, "cores", lambda: 3)
    monkeypatch.setenv(VARIABLE, str(request.param))
    threads._pool.cache_clear()
    yield request.param
    threads._pool.cache_clear()


@pytest.mark.parametrize(
    ("asked", "count"), [("1", 1), ("2", 2), ("9", 4), ("", 4), ("0", 4), ("many", 4), ("-1", 4)]
)
def test_no_more_than_cores_and_than_asked_for(asked, count, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setenv(VARIABLE, asked)
    assert threads.worker_count() == count


def test_results_come_in_the_order_of_the_items(so_many: int) -> None:
    gate = threading.Barrier(so_many, timeout=60)  # the first ones are at work together

    def run(item: int) -> int:
        if item < so_many:
            gate.wait()
        return item**2

    assert list(parallel_map(run, range(10), CPU)) == [k**2 for k in range(10)]


def test_what_is_raised_is_raised_and_no_more_is_begun(so_many: int) -> None:
    begun = []

    def run(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise ValueError("one")

    with pytest.raises(ValueError, match="one"):
        list(parallel_map(run, range(100), CPU))
    assert len(begun) <= 2 + 2 * so_many


def test_a_kernel_has_one_thread(so_many: int) -> None:
    torch.set_num_threads(2)
    told = list(parallel_map(lambda _: torch.get_num_threads(), range(4), CPU))
    assert told == [2 if so_many == 1 else 1] * 4  # alone, it is the caller's own thread


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    if name == "simple":
        return SimpleDenoiser(embedding=8)
    sizes = {"channels": [8, 16], "blocks": 1, "patch": 2, "embedding": 8, "heads": 2}
    net = UNet(classes=10, **sizes)
    for parameter in net.parameters():  # nothing is zero, so that every gradient counts
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def learned(name: str, parts: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A loss and its gradients."""
    net = network(name)
    x = torch.randn(6, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    t, labels = torch.arange(6) * 10, torch.tensor([0, 1, -1, 3, 4, -1])
    loss = (data_parallel(net, parts)(x, t, labels) - x).square().mean()
    loss.backward()
    return loss.detach(), [p.grad for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", ["unet", "simple"])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_a_divided_batch_teaches_what_a_whole_one_does(name: str, parts: int, so_many: int) -> None:
    loss, gradients = learned(name, parts)
    whole, wanted = learned(name, 1)
    torch.testing.assert_close(loss, whole)
    assert len(gradients) == len(wanted) > 10
    for ours, theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_bits_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: 3)
    told = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv(VARIABLE, count)
        threads._pool.cache_clear()
        configure(Compute(device="cpu", instructions="avx2"))
        told.append(learned("unet", 3))
    for loss, gradients in told[1:]:
        assert torch.equal(loss, told[0][0])
        assert all(map(torch.equal, gradients, told[0][1]))


def test_products_of_numpy_and_scipy_are_not_split() -> None:
    """In a process of its own, since libraries read the variable when they are loaded."""
    code = (
        "import mnist_diffusion, json, scipy.linalg, threadpoolctl;"
        "print(json.dumps([library['num_threads'] for library in threadpoolctl.threadpool_info()"
        " if library['user_api'] == 'blas']))"
    )
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "3"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    counts = json.loads(told.stdout)
    assert counts
    assert set(counts) == {1}
