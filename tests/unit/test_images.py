"""Digits as pictures."""

import io

import numpy as np
from PIL import Image

from mnist_diffusion.files.images import (
    by_class,
    gif_bytes,
    in_rows,
    png_bytes,
    sheet,
    thumbnail,
    tiled,
    titled,
)

LABELS = np.arange(40) % 10
IMAGES = np.broadcast_to(LABELS[:, None, None] * 10, (40, 28, 28)).astype(np.uint8)


def test_a_column_is_a_digit_and_blank_where_there_are_too_few() -> None:
    tiles = by_class(IMAGES[::-1], LABELS[::-1], rows=8)
    assert tiles.shape == (8, 10, 28, 28)
    assert (tiles[:4, :, 0, 0] == np.arange(10) * 10).all()
    assert (tiles[4:] == 0).all()


def test_without_labels_images_stand_in_order() -> None:
    images = np.arange(40, dtype=np.uint8)[:, None, None] * np.ones((28, 28), dtype=np.uint8)
    tiles = by_class(images, np.full(40, -1), rows=2)
    assert (tiles[:, :, 0, 0].ravel() == np.arange(20)).all()
    assert (by_class(images, np.full(40, -1), rows=5)[4] == 0).all()


def test_tiles_stand_apart_and_the_last_row_is_filled() -> None:
    pixels = tiled(in_rows(IMAGES[1:4], 2, fill=7), gap=2, shade=9)
    assert pixels.shape == (58, 58)
    assert [pixels[0, 0], pixels[0, 30], pixels[30, 0], pixels[30, 30]] == [10, 20, 30, 7]
    assert (pixels[28:30] == 9).all() and (pixels[:, 28:30] == 9).all()


def test_a_thumbnail_is_twice_the_size() -> None:
    assert thumbnail(IMAGES, LABELS).size == (560, 448)


def test_pictures_are_the_same_bytes_each_time() -> None:
    def picture() -> Image.Image:
        return titled(sheet(by_class(IMAGES, LABELS, rows=2), 2), ["a"] * 10, ["one", "two"])

    assert png_bytes(picture()) == png_bytes(picture())
    frames = [sheet(IMAGES[None, k : k + 1], 2) for k in (0, 4, 8)]
    with Image.open(io.BytesIO(gif_bytes(frames, 100, 900))) as moving:
        assert moving.n_frames == 3


def test_words_widen_a_picture_to_the_left_and_above() -> None:
    plain = sheet(by_class(IMAGES, LABELS, rows=2), 2)
    words = titled(plain, [], ["a row"])
    assert words.width > plain.width and words.height > plain.height
    assert words.crop((words.width - plain.width, 26, words.width, words.height)).tobytes() == (
        plain.tobytes()
    )
