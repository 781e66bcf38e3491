"""Thickness, slant and width: of bars whose own are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_diffusion.dataset.attributes import Attributes, thickness


def bar(width: int, height: int, shade: int = 255) -> NDArray[np.uint8]:
    image = np.zeros((28, 28), dtype=np.uint8)
    top, left = (28 - height) // 2, (28 - width) // 2
    image[top : top + height, left : left + width] = shade
    return image


def sheared(width: int, pixels_a_row: float) -> NDArray[np.uint8]:
    """A bar 20 pixels high whose rows are moved, with fractions of pixels shared by two."""
    image = np.zeros((28, 28))
    for row in range(20):
        left = 14 - width / 2 - pixels_a_row * (row - 9.5)  # what is higher is further right
        ends = np.clip(left + np.array([[0.0], [width]]) - np.arange(28), 0, 1)
        image[4 + row] = ends[1] - ends[0]
    return np.rint(image * 255).astype(np.uint8)


@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("shade", [3, 90, 255])
def test_a_bar_is_as_thick_as_it_is_drawn(width: int, shade: int) -> None:
    """Exactly: a mean over a rectangle of the distance to the nearest of its four sides."""
    image = bar(width, 26, shade)
    rows, columns = np.arange(1, 53)[:, None], np.arange(1, 2 * width + 1)
    to_sides = np.minimum(np.minimum(rows, 53 - rows), np.minimum(columns, 2 * width + 1 - columns))
    expected = 2 * to_sides.mean() - 1
    assert thickness(image[None])[0] == pytest.approx(expected, abs=1e-12)
    assert thickness(image.T[None])[0] == pytest.approx(expected, abs=1e-12)
    assert 0.85 * width <= expected <= width  # its two short sides are all that is missing


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("degrees", [-35, -10, 0, 10, 25])
def test_a_sheared_bar_leans_as_it_is_sheared(width: int, degrees: float) -> None:
    image = sheared(width, np.tan(np.radians(degrees)))
    found = Attributes.of(image[None])
    assert found.slant[0] == pytest.approx(degrees, abs=0.1)
    mirrored = Attributes.of(image[None, :, ::-1])
    assert mirrored.slant[0] == pytest.approx(-found.slant[0], abs=1e-9)


@pytest.mark.parametrize("width", range(1, 21))
def test_a_bar_is_as_wide_as_it_is_drawn(width: int) -> None:
    assert Attributes.of(bar(width, 20)[None]).width[0] == pytest.approx(width)


def test_a_slant_does_not_widen() -> None:
    upright, leaning = sheared(4, 0.0), sheared(4, 0.4)
    found = Attributes.of(np.stack([upright, leaning]))
    assert found.width[0] == pytest.approx(4)
    assert found.width[1] == pytest.approx(4, abs=0.3)  # pixels shared by two make it softer


def test_a_blank_image_has_no_stroke() -> None:
    """A model may draw one."""
    found = Attributes.of(np.zeros((1, 28, 28), dtype=np.uint8))
    assert found.table().tolist() == [[0, 0, 0]]


def test_an_image_of_noise_is_measured() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    assert np.isfinite(Attributes.of(noise).table()).all()


def test_a_digit_is_measured_alone() -> None:
    images = np.stack([bar(k, 26, 255 - k) for k in range(1, 9)])
    together = Attributes.of(images).table()
    alone = np.concatenate([Attributes.of(image[None]).table() for image in images])
    assert np.array_equal(together, alone)
    assert np.array_equal(Attributes.from_table(together).table(), together)
    assert Attributes.of(images[:0]).table().shape == (0, 3)
