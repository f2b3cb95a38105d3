"""What stands still in a cine while the tissue moves: banners around the scan, and writing laid over it.

Living tissue and its speckle change from frame to frame; what a console draws does not. A pixel without temporal
deviation amid pixels that have it is drawn, however dim it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.text_search.components import components
from models.text_search.rectangle import Rectangle
from models.text_search.tophat import FAINT, STRONG, WEAK, Row, rows_of_glyphs

NAME: Final = "static-in-cine"
LEAST_FRAMES: Final = 8
_MOVES: Final = 6.0  # grey levels of standard deviation over time
_STILL: Final = 2.0
_LEAST_SHARE: Final = 0.15  # of the picture has to move before stillness means anything
_MARGIN: Final = 16
_CELL: Final = 8
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float32]


@dataclass
class Temporal:
    """Least value, mean and deviation of each pixel over the frames added so far."""

    count: int = 0
    _least: Bytes | None = None
    _sum: Numbers | None = None
    _squares: Numbers | None = None

    def add(self, grey: Bytes) -> None:
        value = grey.astype(np.float32)
        if self._least is None or self._sum is None or self._squares is None:
            self._least, self._sum, self._squares = grey.copy(), value, value * value
        else:
            np.minimum(self._least, grey, out=self._least)
            self._sum += value
            self._squares += value * value
        self.count += 1

    @property
    def least(self) -> Bytes:
        """Bright writing that stays is as bright here as ever, tissue and its glints are dark."""
        assert self._least is not None  # noqa: S101 - frames were added
        return self._least

    @property
    def mean(self) -> Bytes:
        assert self._sum is not None  # noqa: S101
        return np.rint(self._sum / self.count).astype(np.uint8)

    @property
    def deviation(self) -> Numbers:
        assert self._sum is not None  # noqa: S101
        assert self._squares is not None  # noqa: S101
        mean = self._sum / self.count
        return np.asarray(np.sqrt(np.maximum(self._squares / self.count - mean * mean, 0)), np.float32)


def moving_area(temporal: Temporal) -> Mask | None:
    """The large areas in which the picture moves; None where too little does for stillness to tell anything."""
    if temporal.count < LEAST_FRAMES:
        return None
    rows, columns = temporal.least.shape
    moves = temporal.deviation > _MOVES
    padded = np.pad(moves, ((0, -rows % _CELL), (0, -columns % _CELL)))
    share = padded.reshape(padded.shape[0] // _CELL, _CELL, padded.shape[1] // _CELL, _CELL).mean((1, 3))
    cells = share > 0.2
    found = components(cells)
    if not len(found) or found.area.max() < _LEAST_SHARE * cells.size:
        return None
    area = np.zeros_like(cells)
    for place in np.flatnonzero(found.area >= 0.2 * found.area.max()):
        part = slice(found.top[place], found.bottom[place]), slice(found.left[place], found.right[place])
        area[part] |= cells[part]
    return np.repeat(np.repeat(area, _CELL, 0), _CELL, 1)[:rows, :columns]


def outside(area: Mask) -> list[Rectangle]:
    """Up to four rectangles: all that lies beyond the box around `area`, which is grown a little first."""
    rows, columns = area.shape
    down, right = np.flatnonzero(area.any(1)), np.flatnonzero(area.any(0))
    inner = Rectangle(int(right[0]), int(down[0]), int(right[-1]) + 1, int(down[-1]) + 1)
    inner = inner.grown(_MARGIN).within(rows, columns)
    around = (
        Rectangle(0, 0, columns, inner.top),
        Rectangle(0, inner.bottom, columns, rows),
        Rectangle(0, inner.top, inner.left, inner.bottom),
        Rectangle(inner.right, inner.top, columns, inner.bottom),
    )
    return [box for box in around if box.area]


def still_writing(temporal: Temporal, area: Mask) -> list[Row]:
    """Rows of glyphs that do not change inside the area that moves."""
    still = (temporal.deviation < _STILL) & area
    drawn = np.where(still, temporal.least, np.uint8(0))
    return rows_of_glyphs(np.asarray(drawn, np.uint8), (STRONG, WEAK, FAINT))
