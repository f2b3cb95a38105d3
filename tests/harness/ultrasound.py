"""A synthetic ultrasound image: speckle in a sector, and words burned into it as a scanner burns them. No patient's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 800, 600
INK = 235
Word = tuple[int, int, str]
"""Left, top and text."""


def ultrasound(words: Sequence[Word], columns: int = COLUMNS, rows: int = ROWS) -> np.ndarray:
    """Grey speckle in a sector, as a scanner shows it, with words at places; 8 bit, the same each time."""
    picture = Image.fromarray(_scanned(columns, rows))
    write(picture, words)
    return np.asarray(picture)


@cache
def _scanned(columns: int, rows: int) -> np.ndarray:
    noise = np.random.default_rng(7).gamma(2.2, 26, (rows, columns))
    y, x = np.mgrid[0:rows, 0:columns]
    across, down = x - columns / 2, y + rows * 0.12
    depth, angle = np.hypot(across, down), np.abs(np.arctan2(across, down))
    sector = (angle < 0.62) & (depth > rows * 0.24) & (depth < rows * 1.02)
    layers = 0.55 + 0.45 * np.sin(depth / 19) ** 2
    lesion = ((across + 40) / 62) ** 2 + ((y - rows * 0.55) / 40) ** 2 < 1
    grey = np.where(sector, noise * layers * np.where(lesion, 0.18, 1), 0)
    return np.clip(grey, 0, 255).astype(np.uint8)


def glyphs(words: Sequence[Word], columns: int = COLUMNS, rows: int = ROWS) -> np.ndarray:
    """True where the words have ink."""
    blank = Image.new("L", (columns, rows))
    write(blank, words)
    return np.asarray(blank) > INK // 2


def write(picture: Image.Image, words: Sequence[Word]) -> None:
    font = ImageFont.load_default(18)
    for left, top, text in words:
        ImageDraw.Draw(picture).text((left, top), text, INK, font=font)
