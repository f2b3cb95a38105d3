"""A rectangle of pixels: from left and top up to, but without, right and bottom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Rectangle(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return max(0, self.width) * max(0, self.height)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, rows: int, columns: int) -> Rectangle:
        """The part that lies in a picture of this size."""
        left, right = (min(max(side, 0), columns) for side in (self.left, self.right))
        top, bottom = (min(max(side, 0), rows) for side in (self.top, self.bottom))
        return Rectangle(left, top, max(left, right), max(top, bottom))

    def grown(self, by: int) -> Rectangle:
        return Rectangle(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def overlap(self, other: Rectangle) -> int:
        """Pixels that both hold."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def covered(boxes: Iterable[Rectangle], rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """The pixels of a picture that lie in any of the boxes."""
    mask = np.zeros((rows, columns), np.bool_)
    for box in boxes:
        mask[box.within(rows, columns).slices] = True
    return mask
