"""A sample set at a glance."""

from pathlib import Path

import numpy as np
from PIL import Image

ROWS = 8
COLUMNS = 10


def grid(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first images (n, 28, 28), a column a digit, or in order where nothing was asked for.

    Returns (rows·28, 280) uint8, black where a digit has too few images.
    """
    sheet = np.zeros((ROWS, COLUMNS, 28, 28), dtype=np.uint8)
    for column in range(COLUMNS):
        chosen = images[labels == column] if (labels >= 0).all() else images[column::COLUMNS]
        chosen = chosen[:ROWS]
        sheet[: len(chosen), column] = chosen
    return sheet.transpose(0, 2, 1, 3).reshape(ROWS * 28, COLUMNS * 28)


def save_grid(images: np.ndarray, labels: np.ndarray, path: Path) -> None:
    """Write the grid as a PNG, twice its size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(grid(images, labels))
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST).save(path)
