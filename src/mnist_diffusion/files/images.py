"""Digits as pictures: tiles in a grid, ink on paper or light on black, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

DIGITS = 10
SHADES = 16
"""Grey levels of pictures in ink; samples themselves keep all 256."""
INK = np.array([27, 36, 51])
LABEL_HEIGHT = 26
LABEL_SIZE = 17

Pixels = NDArray[np.uint8]
"""(height, width)"""
Tiles = NDArray[np.uint8]
"""(rows, columns, height, width)"""


def by_class(images: NDArray[np.uint8], labels: NDArray[np.int64], rows: int) -> Tiles:
    """The first `rows` of each digit as columns, 0 to 9; blank where there are fewer.

    Where no digit was asked for (labels of -1), the first images in order.
    """
    if labels[0] < 0:
        first = np.asarray(images[: rows * DIGITS])
        return in_rows(first, DIGITS, count=rows * DIGITS)
    tiles = np.zeros((rows, DIGITS, *images.shape[1:]), dtype=np.uint8)
    for digit in range(DIGITS):
        own = images[np.flatnonzero(labels == digit)[:rows]]
        tiles[: len(own), digit] = own
    return tiles


def in_rows(
    images: NDArray[np.uint8], columns: int, *, count: int | None = None, fill: int = 0
) -> Tiles:
    """Images (n, height, width) row by row; `fill` where the last row ends early, up to `count`."""
    rows = -(-(count or len(images)) // columns)
    tiles = np.full((rows * columns, *images.shape[1:]), fill, dtype=np.uint8)
    tiles[: len(images)] = images
    return tiles.reshape(rows, columns, *images.shape[1:])


def tiled(tiles: Tiles, gap: int = 0, shade: int = 0) -> Pixels:
    """Tiles side by side, `gap` pixels of one shade between them."""
    rows, columns, height, width = tiles.shape
    apart = np.full((rows, columns, height + gap, width + gap), shade, dtype=np.uint8)
    apart[:, :, :height, :width] = tiles
    sheet = apart.transpose(0, 2, 1, 3).reshape(rows * (height + gap), columns * (width + gap))
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def enlarged(values: Pixels, times: int) -> Image.Image:
    """Light on black, every pixel a square of `times` screen pixels."""
    return Image.fromarray(values.repeat(times, axis=0).repeat(times, axis=1))


def thumbnail(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Image.Image:
    """A sample set at a glance: eight of each digit, twice their size."""
    return enlarged(tiled(by_class(images, labels, rows=8)), 2)


def inked(values: Pixels) -> Image.Image:
    """Ink on paper: a picture of few shades, small as a file."""
    shades = np.rint(values / 255 * (SHADES - 1)).astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    shares = np.linspace(0, 1, SHADES)[:, None]
    picture.putpalette([int(c) for c in (255 + shares * (INK - 255)).round().astype(int).ravel()])
    return picture


def sheet(tiles: Tiles, zoom: int) -> Image.Image:
    """Tiles in ink, two pixels apart, `zoom` screen pixels to the pixel."""
    return inked(tiled(tiles, gap=2).repeat(zoom, axis=0).repeat(zoom, axis=1))


def titled(picture: Image.Image, columns: Sequence[str], rows: Sequence[str]) -> Image.Image:
    """A picture in ink with words above its columns and before its rows.

    The font is Pillow's own, and so the same everywhere.
    """
    font = ImageFont.load_default(LABEL_SIZE)
    left = 16 + max((int(font.getlength(word)) for word in rows), default=-16)
    words = Image.new("L", (left + picture.width, LABEL_HEIGHT + picture.height))
    pen = ImageDraw.Draw(words)
    for index, word in enumerate(columns):
        middle = left + (index + 0.5) * picture.width / len(columns)
        pen.text((middle, LABEL_HEIGHT - 8), word, fill=255, font=font, anchor="ms")
    for index, word in enumerate(rows):
        middle = LABEL_HEIGHT + (index + 0.5) * picture.height / len(rows)
        pen.text((0, middle), word, fill=255, font=font, anchor="lm")
    whole = inked(np.asarray(words))
    whole.paste(picture, (left, LABEL_HEIGHT))
    return whole


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as PNG, without dates or names of software."""
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def gif_bytes(frames: Sequence[Image.Image], milliseconds: int, last: int) -> bytes:
    """An animation without end, its last frame shown longer."""
    stream = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [last]
    frames[0].save(
        stream, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    return stream.getvalue()
