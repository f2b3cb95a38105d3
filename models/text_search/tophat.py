"""A morphological detector of writing: thin bright or dark shapes of one height, side by side in a row.

A picture minus its grey opening (the white top-hat, Meyer 1979; Serra 1982) keeps what is thinner than the structuring
square; the dual keeps thin dark shapes. Components of about one height that follow each other make a row of glyphs.
It knows no letters: what it finds over tissue is a hint, over a flat margin it is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.text_search.components import Components, components
from models.text_search.rectangle import Rectangle

NAME: Final = "top-hat"
SQUARE: Final = 7  # strokes up to six pixels wide
LEAST_GLYPHS: Final = 3
_LOW: Final = 5  # rows of the smallest glyph
_HIGH: Final = 64
_MOST_GLYPHS: Final = 3000
_NEIGHBOURS: Final = 40  # by column, among which the next glyph of a row is looked for
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pass:
    """Pixels that stand out by `contrast` and reach `level`."""

    contrast: int
    level: int


STRONG: Final = Pass(80, 150)
WEAK: Final = Pass(50, 120)
FAINT: Final = Pass(28, 40)  # over a flat margin alone


@dataclass(frozen=True)
class Row:
    """Glyphs side by side: their box, how many, their mean contrast, and how evenly high they are (0 is equal)."""

    box: Rectangle
    glyphs: int
    contrast: float
    unevenness: float


def top_hat(picture: Bytes) -> Bytes:
    """What is brighter than its surroundings and thinner than the square."""
    opened = _slid(_slid(picture, np.minimum), np.maximum)
    return np.asarray(picture - np.minimum(opened, picture), np.uint8)


def _slid(picture: Bytes, extreme: np.ufunc) -> Bytes:
    """Least or greatest value in a square around each pixel: both axes, by windows of 2, 4 and 7."""
    fill = 255 if extreme is np.minimum else 0
    padded = np.pad(picture, SQUARE // 2, constant_values=fill)
    for axis in (0, 1):
        for shift in (1, 2, SQUARE - 4):
            ahead = padded[shift:] if axis == 0 else padded[:, shift:]
            behind = padded[:-shift] if axis == 0 else padded[:, :-shift]
            padded = extreme(ahead, behind)
    return np.asarray(padded, np.uint8)


def rows_of_glyphs(
    bright: Bytes, passes: tuple[Pass, ...], where: Mask | None = None, dark: Bytes | None = None
) -> list[Row]:
    """Rows of at least three glyphs inside `where`: bright ones in `bright`, and dark ones in `dark` if given."""
    found: list[Row] = []
    for view in (bright,) if dark is None else (bright, 255 - dark):
        hat = top_hat(view)
        if where is not None:
            hat = np.where(where, hat, np.uint8(0))
        for one in passes:
            marked = (hat >= one.contrast) & (view >= one.level)
            if marked.any():
                found += _rows(components(marked, hat.astype(np.float32)))
    return found


def _rows(found: Components) -> list[Row]:
    height, width = found.bottom - found.top, found.right - found.left
    fits = (height >= _LOW) & (height <= _HIGH) & (width <= 1.6 * height) & (found.area >= height)
    glyphs = found.chosen(fits)
    if len(glyphs) < LEAST_GLYPHS or len(glyphs) > _MOST_GLYPHS:  # thousands of them are texture
        return []
    glyphs = glyphs.chosen(np.argsort(glyphs.left, kind="stable"))
    chain = _chained(glyphs)
    rows = []
    for root in np.flatnonzero(np.bincount(chain, minlength=len(glyphs)) >= LEAST_GLYPHS):
        rows.append(_row(glyphs.chosen(chain == root)))
    return rows


def _chained(glyphs: Components) -> npt.NDArray[np.int64]:
    """For each glyph the first one of its row."""
    count = len(glyphs)
    height = glyphs.bottom - glyphs.top
    chain = np.arange(count)
    pairs = []
    for step in range(1, min(_NEIGHBOURS, count - 1) + 1):
        one, two = np.arange(count - step), np.arange(step, count)
        shared = np.minimum(glyphs.bottom[one], glyphs.bottom[two]) - np.maximum(glyphs.top[one], glyphs.top[two])
        low, high = np.minimum(height[one], height[two]), np.maximum(height[one], height[two])
        gap = glyphs.left[two] - glyphs.right[one]
        beside = (shared >= 0.5 * low) & (low >= 0.45 * high) & (gap <= 1.3 * high) & (gap >= -0.3 * high)
        pairs.append(np.flatnonzero(beside) + np.array([[0], [step]]))
    linked = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    while True:
        lowest = np.minimum(chain[linked[0]], chain[linked[1]])
        before = chain.copy()
        for end in linked:
            np.minimum.at(chain, chain[end], lowest)
        chain = chain[chain]
        if (chain == before).all():
            return chain


def _row(glyphs: Components) -> Row:
    height = (glyphs.bottom - glyphs.top).astype(np.float64)
    box = Rectangle(int(glyphs.left.min()), int(glyphs.top.min()), int(glyphs.right.max()), int(glyphs.bottom.max()))
    contrast = float(glyphs.weight.sum() / glyphs.area.sum())
    grow = max(3, round(0.35 * float(np.median(height))))
    return Row(box.grown(grow), len(glyphs), contrast, float(height.std() / height.mean()))
