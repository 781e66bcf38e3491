"""Pictures of digits: ink on paper, every pixel as it was drawn."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mnist_diffusion.reporting.curves import one_run_per_schedule
from mnist_diffusion.reporting.results import CellResult, Images, Labels, Results
from mnist_diffusion.reporting.style import Figure, png_bytes
from mnist_diffusion.reporting.words import SAMPLERS

DIGITS = 10
SHADES = 16
"""Grey levels of the published pictures; the samples themselves keep all 256."""
INK = np.array([27, 36, 51])
GAP = 2
"""Between tiles, in pixels of the digits."""
LABEL_HEIGHT = 26
MARGIN = 28
FRAMES = 21
NOISING_FRAMES = 11
FRAME_MILLISECONDS = 120
LAST_FRAME_MILLISECONDS = 2200

Tiles = NDArray[np.uint8]
"""(rows, columns, 28, 28)"""


def samples(name: str, title: str, caption: str, images: Images, labels: Labels) -> Figure:
    """Five of each class, a column per digit; without labels the first fifty."""
    picture = sheet(by_class(images, labels, rows=5), zoom=2)
    what = "one column per digit from 0 to 9" if labels[0] >= 0 else "no digit was asked for"
    alt = f"Grid of {DIGITS} by 5 digits, {title}: {what}."
    return still(f"samples-{name}", title, caption, alt, picture)


def noising(results: Results) -> Figure:
    """One digit drowning in noise, a row per schedule."""
    runs = one_run_per_schedule(results)
    chosen = {name: _evenly(len(run.noising), NOISING_FRAMES) for name, run in runs.items()}
    tiles = np.stack([run.noising[chosen[name]] for name, run in runs.items()])
    first = next(iter(runs.values()))
    steps = [first.noising_timesteps[i] for i in _evenly(len(first.noising), NOISING_FRAMES)]
    picture = sheet(tiles, zoom=3)
    labelled = titled(picture, ["clean" if t < 0 else f"t = {t}" for t in steps], list(runs))
    caption = "The same digit under each schedule, from clean to the last timestep."
    alt = f"Rows of a digit fading into noise under the schedules {'; '.join(runs)}."
    return still("noising", "Into noise", caption, alt, labelled)


def denoising(results: Results) -> Figure:
    """From noise to digit, a row per image."""
    cell = results.headline
    frames = _evenly(len(cell.trajectory), DIGITS)
    tiles = _strip(cell, rows=min(4, cell.trajectory.shape[1]))
    # The last frame is the finished image, whatever timestep it is booked under.
    steps = [f"t = {cell.manifest.trajectory_timesteps[i]}" for i in frames[:-1]] + ["digit"]
    picture = titled(sheet(tiles, zoom=3), steps, [])
    caption = f"Cell {cell.name}: what the sampler holds, from pure noise to the digit."
    alt = "Rows of pictures that turn from noise on the left into digits on the right."
    return still("denoising", "Out of noise", caption, alt, picture)


def animation(results: Results) -> tuple[Figure, Figure]:
    """Noise turning into ten digits, and the last frame for those who want rest."""
    cell = results.headline
    kept = cell.trajectory[_evenly(len(cell.trajectory), FRAMES), :DIGITS]
    frames = [sheet(frame[None], zoom=2) for frame in kept]
    stream = io.BytesIO()
    frames[0].save(
        stream,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_FRAME_MILLISECONDS],
        loop=0,
    )
    alt = f"Animation of {kept.shape[1]} noise pictures that turn into digits."
    sampler = SAMPLERS[cell.settings.sampler]
    caption = f"Cell {cell.name}, {cell.settings.steps} steps of {sampler}."
    width, height = frames[0].size
    files = {"gif": stream.getvalue()}
    moving = Figure("animation", "Out of noise, moving", caption, alt, files, width, height)
    return moving, still("denoised", "The finished digits", caption, alt, frames[-1])


def film(results: Results) -> Figure:
    """All moments of ten images on their way, one below the other: what a slider moves along."""
    cell = results.headline
    moments = sheet(np.asarray(cell.trajectory[:, :DIGITS]), zoom=1)
    caption = (
        f"Cell {cell.name}: what the sampler holds after each of its {cell.settings.steps} steps."
    )
    alt = f"{min(DIGITS, cell.trajectory.shape[1])} pictures at one moment between noise and digit."
    return still("film", "Out of noise, step by step", caption, alt, moments)


def hero(results: Results) -> Figure:
    """The front page's picture: noise becoming digits above, the headline's digits below."""
    cell = results.headline
    rows = min(3, cell.trajectory.shape[1])
    above = sheet(_strip(cell, rows), zoom=3)
    below = sheet(by_class(cell.images, cell.labels, rows=6), zoom=3)
    size = (above.width + 2 * MARGIN, above.height + below.height + 3 * MARGIN)
    picture = _inked(np.zeros(size[::-1], dtype=np.uint8))
    picture.paste(above, (MARGIN, MARGIN))
    picture.paste(below, (MARGIN, above.height + 2 * MARGIN))
    caption = f"Cell {cell.name}: from noise to digit, and six of each class."
    alt = "Above, noise turning into digits from left to right; below, a grid of drawn digits."
    return still("hero", "Drawn digits", caption, alt, picture)


def by_class(images: Images, labels: Labels, rows: int) -> Tiles:
    """The first `rows` of each digit as columns, in order; blank where there are fewer."""
    tiles = np.zeros((rows, DIGITS, *images.shape[1:]), dtype=np.uint8)
    if labels[0] < 0:
        first = np.asarray(images[: rows * DIGITS])
        tiles.reshape(-1, *images.shape[1:])[: len(first)] = first
        return tiles
    for digit in range(DIGITS):
        own = images[np.flatnonzero(labels == digit)[:rows]]
        tiles[: len(own), digit] = own
    return tiles


def _strip(cell: CellResult, rows: int) -> Tiles:
    """Ten moments of `rows` images of different digits: (rows, 10, 28, 28)."""
    moments = cell.trajectory[_evenly(len(cell.trajectory), DIGITS)]
    chosen = _evenly(cell.trajectory.shape[1], rows)
    return np.asarray(moments[:, chosen].swapaxes(0, 1))


def _evenly(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices from the first to the last of `count`."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, wanted)).round()]


def sheet(tiles: Tiles, zoom: int) -> Image.Image:
    """Tiles side by side, white to ink, `zoom` screen pixels to the pixel."""
    rows, columns, height, width = tiles.shape
    values = np.zeros((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), dtype=np.uint8)
    for row, column in np.ndindex(rows, columns):
        top, left = row * (height + GAP), column * (width + GAP)
        values[top : top + height, left : left + width] = tiles[row, column]
    return _inked(values.repeat(zoom, axis=0).repeat(zoom, axis=1))


def _inked(values: Images) -> Image.Image:
    """Values of one sheet, (height, width), as a picture in few shades from paper to ink."""
    shades = np.rint(values / 255 * (SHADES - 1)).astype(np.uint8)
    picture = Image.fromarray(shades).convert("P")
    picture.putpalette(_palette())
    return picture


def _palette() -> list[int]:
    shares = np.linspace(0, 1, SHADES)[:, None]
    return [int(c) for c in (255 + shares * (INK - 255)).round().astype(int).ravel()]


def titled(picture: Image.Image, columns: list[str], rows: list[str]) -> Image.Image:
    """The picture with words above its columns and before its rows."""
    font = _font(17)
    left = 16 + max((int(font.getlength(word)) for word in rows), default=-16)
    words = Image.new("L", (left + picture.width, LABEL_HEIGHT + picture.height))
    pen = ImageDraw.Draw(words)
    for index, word in enumerate(columns):
        middle = left + (index + 0.5) * picture.width / len(columns)
        pen.text((middle, LABEL_HEIGHT - 8), word, fill=255, font=font, anchor="ms")
    for index, word in enumerate(rows):
        middle = LABEL_HEIGHT + (index + 0.5) * picture.height / len(rows)
        pen.text((0, middle), word, fill=255, font=font, anchor="lm")
    whole = _inked(np.asarray(words))
    whole.paste(picture, (left, LABEL_HEIGHT))
    return whole


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that words look the same everywhere."""
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def still(name: str, title: str, caption: str, alt: str, picture: Image.Image) -> Figure:
    """A picture that does not move, as a figure."""
    width, height = picture.size
    return Figure(name, title, caption, alt, {"png": png_bytes(picture)}, width, height)
