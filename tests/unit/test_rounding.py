"""Images drawn where kernels round otherwise: honest ones are proven, forged ones are not."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import audited
import numpy as np
import pytest
import torch
from audited import CELLS, COUNT
from forgeries import Cell
from rich.console import Console
from torch.nn import functional as F

from mnist_diffusion.audit.output import (
    Checked,
    Severity,
    failed,
    note,
    print_audit,
    rounded,
    unverified,
)
from mnist_diffusion.audit.replay import compared
from mnist_diffusion.audit.rounding import DoublePrecision, reached, within_bounds
from mnist_diffusion.dataset.pixels import to_tensor, to_uint8
from mnist_diffusion.networks.unet import UNet
from mnist_diffusion.runtime.instructions import AVX2, has_avx2

FEWER = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
HERE = Path("images.npy")


def spread(images: int, pixels: int, levels: int) -> np.ndarray:
    """So many pixels of some images that are so many levels apart."""
    apart = np.zeros((images, 28, 28), np.int16)
    apart.reshape(-1)[:pixels] = levels
    return apart


@pytest.mark.parametrize(
    ("pixels", "levels", "within"),
    [(0, 0, True), (7, 1, True), (8, 1, False), (1, 2, False), (7, -1, True)],
)
def test_bounds_are_one_level_at_a_pixel_in_a_thousand(pixels, levels, within) -> None:
    assert within_bounds(np.abs(spread(10, pixels, levels))) is within  # of 7,840


def test_all_is_computed_in_double_precision() -> None:
    torch.manual_seed(0)
    net = UNet(channels=[8, 16], blocks=1, patch=2, embedding=8, heads=2, classes=10)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, t, labels = torch.randn(3, 1, 28, 28), torch.tensor([1, 500, 999]), torch.arange(3)
    with torch.inference_mode():
        single = net(x, t, labels)
        with DoublePrecision():
            double = net(x, t, labels)
            weight = net.stem.weight
            by_hand = F.conv2d(F.pixel_unshuffle(x, 2), weight, net.stem.bias, padding=1)
        kernels = (weight.double(), net.stem.bias.double())
        assert torch.equal(by_hand, F.conv2d(F.pixel_unshuffle(x.double(), 2), *kernels, padding=1))
    assert single.dtype == torch.float32 == weight.dtype and double.dtype == torch.float64
    lost = (single - double).abs().max() / double.abs().max()
    assert 1e-8 < lost < 1e-4


def findings(stored, lost: float, foreign=("numerics",)) -> list[tuple[str, str]]:
    """What is said of images, of which float32 draws here what is `lost` of a level off float64."""
    exact = to_tensor(np.full((4, 28, 28), 100, np.uint8)).double() + 0.4 / 127.5
    turns = iter([(exact + lost / 127.5).float(), exact])
    told = compared(HERE, [3, 5, 8, 9], lambda: next(turns), stored, list(foreign))
    return [(str(f.severity), f.item) for f in told]


def test_float64_judges_what_is_beyond_the_bounds() -> None:
    """Levels are 100.4: a stored 101 is 0.1 further than its rounding allows."""
    same = np.full((4, 28, 28), 100, np.uint8)
    border = same.copy()
    border[2, 3] = 101  # 28 of 3,136 pixels
    assert findings(same, 0.02) == [(Severity.NOTE, "images.npy")]
    assert findings(border, 0.02) == [(Severity.ROUNDED, "images.npy")]
    assert findings(border, 0.01) == [(Severity.FAILED, "images.npy: image 8")]
    border[0, 0, 0] = 102
    first = (Severity.FAILED, "images.npy: image 3")
    assert findings(border, 0.02) == [first]
    assert findings(border, 0.02, foreign=()) == [first, (Severity.FAILED, "images.npy: image 8")]


def test_how_far_float64_reaches_is_told_image_by_image() -> None:
    exact = torch.zeros(2, 1, 28, 28, dtype=torch.float64)  # level 127.5, between two
    drawn = exact.float()
    drawn[0, 0, 0, 0] += 1 / 127.5
    stored = np.full((2, 28, 28), 130, np.uint8)
    assert reached(stored, drawn, exact).tolist() == [True, False]


def test_what_is_proven_within_rounding_is_proven_and_says_so() -> None:
    near = rounded(HERE, "near")
    assert (Checked("cell", [near]).verdict, Checked("cell", [near]).code) == (near.severity, 0)
    assert Checked("cell", [near, note(HERE, "")]).verdict == "proven within rounding"
    assert Checked("cell", [near, failed(HERE, "")]).verdict == "failed"
    assert Checked("cell", [near, unverified(HERE, "")]).code == 2
    console = Console(file=io.StringIO(), width=99)
    assert print_audit([Checked("cell", [near])], Checked("report"), console=console) == 0
    assert console.file.getvalue().splitlines()[-1] == "1 cell: 1 proven within rounding"


@pytest.fixture(scope="module")
def learned(build_once, raw_mnist, empty_store) -> Path:
    """The small repository, whose networks have learned something."""
    return build_once(
        "learned", lambda folder: audited.build(folder, raw_mnist, empty_store, steps=200)
    )


@pytest.mark.slow
@pytest.mark.skipif(not has_avx2(), reason="this processor has no instructions to take away")
def test_honest_sets_are_proven_by_a_lesser_processor(learned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    subprocess.run(["cp", "-r", learned, folder], check=True)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("instructions: avx2", "instructions: native"))
    bare = {key: value for key, value in os.environ.items() if key not in AVX2}
    command = [sys.executable, "-m", "mnist_diffusion", "audit", "--json", "--regenerate"]
    done = subprocess.run(
        [*command, str(COUNT), *CELLS],
        cwd=folder,
        env=bare | FEWER | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)["cells"]
    assert set(told) == set(CELLS)
    for audit in told.values():
        (drawn,) = [f for f in audit["findings"] if f["check"] == "redrawn"]
        assert "drawn on another numerics" in drawn["text"]
        assert drawn["severity"] in (Severity.NOTE, Severity.ROUNDED)


@pytest.mark.slow
def test_forged_sets_are_not_within_rounding(
    learned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(learned)
    seen = 0
    for name in CELLS:
        cell = Cell(name, 4)
        for word, draw in cell.forgeries([]):
            told = compared(HERE, [*cell.indices], cell.drawn, to_uint8(draw()), ["numerics"])
            assert {f.severity for f in told} == {Severity.FAILED}, (name, word)
            seen += 1
    assert seen > 30
