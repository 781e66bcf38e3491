"""Pictures of digits: ink on paper, every pixel as it was drawn."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mnist_diffusion.evaluation.metrics import METRICS
from mnist_diffusion.files.images import (
    DIGITS,
    Tiles,
    by_class,
    gif_bytes,
    in_rows,
    inked,
    png_bytes,
    sheet,
    titled,
)
from mnist_diffusion.reporting.labels import SAMPLERS, strength
from mnist_diffusion.reporting.results import (
    CellResult,
    Images,
    Labels,
    Results,
    one_run_per_schedule,
)

MARGIN = 28
BESIDE = 3
"""Drawn digits of each class, and as many real ones,"""
LARGE = 4
"""each pixel enlarged so often."""
FRAMES = 21
NOISING_FRAMES = 11
FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS = 120, 2200
THICKNESSES, SLANTS = ("thin", "medium", "thick"), ("left", "upright", "right")


@dataclass(frozen=True)
class Picture:
    """A picture of the report, and what is read to those who cannot see it."""

    name: str
    """The file's name without suffix, a stable word."""
    title: str
    caption: str
    alt: str
    content: bytes
    width: int
    """Natural width in CSS pixels."""
    height: int
    suffix: str = "png"
    file: bool = True
    """Whether it is a file too, not on the page alone."""
    shown: bytes = b""
    """The same in fewer pixels, which the page enlarges; empty: there it is as in its file."""

    @property
    def data_uri(self) -> str:
        """So that the page carries it."""
        encoded = base64.b64encode(self.shown or self.content).decode()
        return f"data:image/{self.suffix};base64,{encoded}"


def all_pictures(results: Results) -> Iterator[Picture]:
    """The same bytes for the same results."""
    of_headline = (hero, beside, animation, film, best_and_worst)
    of_several = (noising, guidance_strip, sampler_strip, codec_strip, prompt_grid)
    yield from (made for make in (*of_headline, *of_several) if (made := make(results)))
    first = "The first of each class in MNIST's test set."
    yield digit_samples("real", "Real digits", first, results.real_images, results.real_labels)
    yield from map(cell_samples, results.cells.values())


def still(
    name: str,
    title: str,
    caption: str,
    alt: str,
    picture: Image.Image,
    *,
    shown: Image.Image | None = None,
    file: bool = True,
) -> Picture:
    """A picture that does not move; what is `shown` on the page is smaller."""
    few = png_bytes(shown) if shown else b""
    return Picture(
        name, title, caption, alt, png_bytes(picture), *picture.size, file=file, shown=few
    )


def digit_samples(name: str, title: str, caption: str, images: Images, labels: Labels) -> Picture:
    """Five of each class, a column per digit; without labels the first fifty."""
    what = "one column per digit from 0 to 9" if labels[0] >= 0 else "no digit was asked for"
    alt = f"Grid of {DIGITS} by 5 digits, {title}: {what}."
    large, small = (sheet(by_class(images, labels, 5), zoom) for zoom in (2, 1))
    return still(f"samples-{name}", title, caption, alt, large, shown=small)


def cell_samples(cell: CellResult) -> Picture:
    """The first digits of a cell, unselected."""
    distance, accuracy = (
        f"{METRICS[name].shown(cell.score(name))}\N{NO-BREAK SPACE}%"
        for name in ("fd_infinity", "accuracy")
    )
    judged = f", accuracy {accuracy}" if cell.asked else ""
    caption = f"Relative FD∞ {distance}{judged}; {cell.evaluations} network evaluations an image."
    return digit_samples(cell.name, cell.name, caption, cell.images, cell.labels)


def hero(results: Results) -> Picture:
    """The front page's picture: noise becoming digits above, the headline's digits below."""
    cell = results.headline
    above = sheet(_moments(cell, min(3, cell.trajectory.shape[1])), zoom=3)
    below = sheet(by_class(cell.images, cell.labels, rows=6), zoom=3)
    caption = f"Cell {cell.name}: from noise to digit, and six of each class."
    alt = "Above, noise turning into digits from left to right; below, a grid of drawn digits."
    return still("hero", "Drawn digits", caption, alt, _stacked(above, below, MARGIN))


def beside(results: Results) -> Picture:
    """The headline's digits above real ones, so large that faults can be seen."""
    cell = results.headline
    drawn = by_class(cell.images, cell.labels, BESIDE)
    real = by_class(results.real_images, results.real_labels, BESIDE)
    large, small = (_stacked(sheet(drawn, z), sheet(real, z), 4 * z) for z in (LARGE, 1))
    caption = (
        f"Above, the first {BESIDE} of each digit of cell {cell.name}, unselected; below, the "
        f"first {BESIDE} of each in MNIST's test set."
    )
    alt = f"{BESIDE} rows of drawn digits above {BESIDE} rows of real ones, a column per digit."
    return still("beside", "Drawn digits beside real ones", caption, alt, large, shown=small)


def _stacked(above: Image.Image, below: Image.Image, margin: int) -> Image.Image:
    """Two pictures of one width, with a margin around each."""
    size = (above.width + 2 * margin, above.height + below.height + 3 * margin)
    picture = inked(np.zeros(size[::-1], dtype=np.uint8))
    picture.paste(above, (margin, margin))
    picture.paste(below, (margin, above.height + 2 * margin))
    return picture


def noising(results: Results) -> Picture:
    """One digit drowning in noise, a row per schedule."""
    runs = one_run_per_schedule(results)
    first = next(iter(runs.values()))
    kept = _evenly(len(first.noising), NOISING_FRAMES)
    tiles = np.stack([run.noising[kept] for run in runs.values()])
    steps = (first.noising_timesteps[i] for i in kept)
    words = ["clean" if t < 0 else f"t = {t}" for t in steps]
    caption = "The same digit under each schedule, from clean to the last timestep."
    alt = f"Rows of a digit fading into noise under the schedules {'; '.join(runs)}."
    picture = titled(sheet(tiles, zoom=3), words, list(runs))
    return still("noising", "Into noise", caption, alt, picture)


def animation(results: Results) -> Picture:
    """Noise turning into ten digits."""
    cell = results.headline
    kept = cell.trajectory[_evenly(len(cell.trajectory), FRAMES), :DIGITS]
    frames = [sheet(frame[None], zoom=2) for frame in kept]
    sampler = SAMPLERS[cell.settings.sampler]
    return Picture(
        "animation",
        "Out of noise, moving",
        f"Cell {cell.name}, {cell.settings.steps} steps of {sampler}.",
        f"Animation of {kept.shape[1]} noise pictures that turn into digits.",
        gif_bytes(frames, FRAME_MILLISECONDS, LAST_FRAME_MILLISECONDS),
        *frames[0].size,
        suffix="gif",
    )


def film(results: Results) -> Picture:
    """All moments of ten images on their way, one below the other: what a slider moves along."""
    cell = results.headline
    steps = cell.settings.steps
    caption = f"Cell {cell.name}: what the sampler holds after each of its {steps} steps."
    count = min(DIGITS, cell.trajectory.shape[1])
    alt = f"{count} pictures at one moment between noise and digit."
    moments = sheet(np.asarray(cell.trajectory[:, :DIGITS]), zoom=1)
    return still("film", "Out of noise, step by step", caption, alt, moments, file=False)


def guidance_strip(results: Results) -> Picture | None:
    """A row per guidance scale, the same noise and digit down each column."""
    cells = sorted(results.chosen("guidance"), key=lambda cell: cell.settings.guidance)
    caption = (
        "Each column starts from the same noise and, but for s = 0, asks for the same digit. "
        "Read down a column to see what guidance does to one image."
    )
    rows = [strength(cell) for cell in cells]
    title = "The same noise under rising guidance"
    return _strip("guidance-strip", title, caption, cells, rows, zoom=3)


def sampler_strip(results: Results) -> Picture | None:
    """A row per sampler and steps, the same noise and digit down each column."""
    cells = [cell for cell in results.chosen("samplers") if not cell.departures]
    caption = (
        "Each column starts from the same noise and asks for the same digit. Samplers that add "
        "noise along the way end elsewhere."
    )
    rows = [f"{SAMPLERS[c.settings.sampler]}, {c.settings.steps}" for c in cells]
    title = "The same noise under other samplers"
    return _strip("sampler-strip", title, caption, cells, rows, zoom=2)


def best_and_worst(results: Results) -> Picture:
    """What the classifier is most and least convinced of, of the headline's images."""
    cell = results.headline
    found = cell.metrics.extremes
    halves = [
        in_rows(cell.images[chosen[: 2 * DIGITS]], DIGITS, count=2 * DIGITS)
        for chosen in (found.best, found.worst)
    ]
    caption = (
        f"Cell {cell.name}: the images in which the classifier is surest of the digit asked for, "
        "and those in which it sees it least."
    )
    alt = "Two rows of clear digits above two rows of doubtful ones."
    picture = titled(sheet(np.concatenate(halves), zoom=3), [], ["best", "", "worst", ""])
    return still("extremes", "Best and worst judged", caption, alt, picture)


def _strip(
    name: str, title: str, caption: str, cells: Sequence[CellResult], rows: Sequence[str], zoom: int
) -> Picture | None:
    """The first of each digit, by the labels of those that ask; None where there is one cell."""
    if len(cells) < 2:
        return None
    count = min(len(cell.images) for cell in cells)
    asked = next((cell.labels for cell in cells if cell.labels[0] >= 0), cells[0].labels)
    tiles = [by_class(cell.images[:count], asked[:count], rows=1)[0] for cell in cells]
    return strip(name, title, caption, tiles, rows, zoom)


def strip(
    name: str, title: str, caption: str, tiles: Sequence[Images], rows: Sequence[str], zoom: int = 3
) -> Picture:
    """The same digits again and again, a row for each name."""
    alt = f"Rows of the same digits: {'; '.join(rows)}."
    return still(name, title, caption, alt, titled(sheet(np.stack(tiles), zoom), [], rows))


def codec_strip(results: Results) -> Picture:
    """Real digits, and below them as each codec gives them back."""
    pairs = list(results.reconstructions.values())
    tiles = [pairs[0][0][::2], *(back[::2] for _, back in pairs)]
    caption = "Real test digits, and what comes back of them by way of each codec."
    rows = ["real", *results.reconstructions]
    return strip("codec-strip", "There and back", caption, tiles, rows)


def prompt_grid(results: Results) -> Picture | None:
    """Of the cell that obeys most: each digit with each of its looks, the first of each."""
    obeyed = {
        name: one.all.everything or 0.0
        for name, one in results.adherence.items()
        if one.prompts == "grid" and len(results.cells[name].images) >= 9 * DIGITS
    }
    if not obeyed:
        return None
    best = max(obeyed, key=lambda name: obeyed[name])
    tiles = in_rows(results.cells[best].images[: 9 * DIGITS], DIGITS)
    rows = [f"{thickness}, {slant}" for slant in SLANTS for thickness in THICKNESSES]
    caption = (
        f"Cell {best}: each digit asked for in words with each thickness and slant, unselected."
    )
    alt = f"Ten columns of digits, rows {'; '.join(rows)}."
    picture = titled(sheet(tiles, zoom=2), [], rows)
    return still("prompt-grid", "Asked for in words", caption, alt, picture)


def _moments(cell: CellResult, rows: int) -> Tiles:
    """Ten moments of `rows` images of different digits: (rows, 10, 28, 28)."""
    moments = cell.trajectory[_evenly(len(cell.trajectory), DIGITS)]
    chosen = _evenly(cell.trajectory.shape[1], rows)
    return np.asarray(moments[:, chosen].swapaxes(0, 1))


def _evenly(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices from the first to the last of `count`."""
    return [int(i) for i in np.linspace(0, count - 1, min(count, wanted)).round()]
