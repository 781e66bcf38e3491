"""The digest of how kernels round: the same on one machine, another with other instructions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mnist_diffusion.provenance import numerics
from mnist_diffusion.provenance.environment import ROUNDING, environment, rounding
from mnist_diffusion.runtime.instructions import AVX2, has_avx2

TOLD = """
import json, os, sys, time
from mnist_diffusion.runtime.compute import configure
from mnist_diffusion.settings import Compute
device = configure(Compute(device="cpu", instructions=sys.argv[1]))
from mnist_diffusion.provenance.environment import environment
began = time.process_time()
if sys.argv[2:] == ["forked"]:
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps([environment(device)["numerics"], time.process_time() - began]))
"""
CPU = torch.device("cpu")


def told(cache: Path, *arguments: str, **variables: str) -> tuple[str, float]:
    """The digest in a process of its own, and the seconds of a processor that it took."""
    bare = {key: value for key, value in os.environ.items() if key not in AVX2}
    done = subprocess.run(
        [sys.executable, "-c", TOLD, *arguments],
        env=bare | {"XDG_CACHE_HOME": str(cache)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    digest, seconds = json.loads(done.stdout)
    return digest, seconds


def kept(cache: Path) -> Path:
    (file,) = cache.rglob("numerics-*")
    return file


def legacy_state() -> str:
    return str(np.random.get_state(legacy=False))  # noqa: NPY002  # the one that all share


@pytest.fixture
def unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(not numerics.BOOT.exists(), reason="this system does not name its boots")
def test_one_machine_has_one_digest_computed_once_a_boot(tmp_path: Path) -> None:
    first, seconds = told(tmp_path, "avx2")
    assert seconds < 2
    assert kept(tmp_path).read_text() == first
    assert told(tmp_path.with_name("other"), "avx2", "forked", OMP_NUM_THREADS="2")[0] == first
    kept(tmp_path).write_text("0" * 16)  # what is there is taken, and not computed again
    assert told(tmp_path, "avx2")[0] == "0" * 16


@pytest.mark.skipif(not numerics.BOOT.exists(), reason="this system does not name its boots")
@pytest.mark.parametrize("broken", [b"", b"0123", b"\xff" * 16, b"0123456789abcdeg"])
def test_a_broken_cache_is_computed_again(unseen: Path, broken: bytes) -> None:
    first = numerics.numerics(CPU, "")
    kept(unseen).write_bytes(broken)
    assert numerics.numerics(CPU, "") == first == kept(unseen).read_text()


@pytest.mark.parametrize("place", ["no boot", "no folder"])
def test_without_a_place_it_is_computed_each_time(
    unseen: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "no boot":
        monkeypatch.setattr(numerics, "BOOT", unseen / "none")
    else:
        (unseen / "mnist-diffusion").write_text("a file")
    assert numerics.numerics(CPU, "") == numerics.probe(CPU)
    assert not list(unseen.rglob("numerics-*"))


@pytest.mark.skipif(not has_avx2(), reason="this processor has no instructions to take away")
@pytest.mark.parametrize(
    "fewer",
    [
        {"ATEN_CPU_CAPABILITY": "default"},
        {"ONEDNN_MAX_CPU_ISA": "SSE41"},
        {"MKL_CBWR": "COMPATIBLE"},
    ],
    ids=lambda fewer: next(iter(fewer)),
)
def test_other_instructions_have_another(tmp_path: Path, fewer: dict[str, str]) -> None:
    assert told(tmp_path, "native", **{**AVX2, **fewer}) != told(tmp_path, "avx2")


def test_nothing_is_left_of_it() -> None:
    states = torch.get_rng_state(), legacy_state()
    torch.set_num_threads(2)
    with torch.inference_mode():
        assert numerics.probe(CPU) == numerics.probe(CPU)
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert legacy_state() == states[1]


def test_of_an_environment_the_digest_decides_and_names_do_not() -> None:
    here = environment("cpu")
    assert set(rounding(here)) == set(ROUNDING)
    assert rounding(here | {"cpu": "another", "python": "0"}) == rounding(here)
    assert rounding(here | {"numerics": "another"}) != rounding(here)
    assert "numerics" not in environment()  # a stage that computes nothing does not pay for it
