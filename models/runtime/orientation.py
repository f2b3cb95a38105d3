"""Turning a frame until its rows and columns run as a model was trained to see them.

By Patient Orientation (0020,0020; PS3.3 C.7.6.1.1.1), which names the direction of the rows and of the columns in the
patient, or where it is absent by Image Orientation (Patient) (0020,0037; C.7.6.2.1.1). A film that was sent on its side
or mirrored is turned back; one of another plane is not what the model takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.domain.errors import Unsupported

OPPOSITE: Final = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_TOWARDS: Final = ("LR", "PA", "HF")  # of the axes x, y, z of the patient: positive, negative
Directions = tuple[str, str]


@dataclass(frozen=True)
class Turn:
    """What was done to a frame: rows and columns changed places, then either was turned round."""

    transposed: bool = False
    rows_turned: bool = False  # top and bottom have changed places
    columns_turned: bool = False

    def apply(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(rows, columns) or (rows, columns, samples)."""
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        turned = turned[::-1] if self.rows_turned else turned
        return np.ascontiguousarray(turned[:, ::-1] if self.columns_turned else turned)

    def back(self, first: int, last: int, length: int, *, rows: bool) -> tuple[int, int]:
        """Of rows or columns, counted from 1 in the turned frame of this `length`: the same ones counted as they came
        (which are columns or rows where the frame was transposed)."""
        if self.rows_turned if rows else self.columns_turned:
            return length + 1 - last, length + 1 - first
        return first, last


AS_IT_CAME: Final = Turn()


def turn_to(dataset: Dataset, wanted: Directions, *, required: bool) -> Turn:
    """What brings the frame of this header to the `wanted` directions of (a row, a column).

    Unsupported where it shows another plane, or where the header does not say and that is `required`; without that it
    is left as it is.
    """
    found = directions(dataset)
    if found is None:
        if required:
            raise Unsupported("the header does not say how the image lies in the patient")
        return AS_IT_CAME
    transposed = _axis(found[0]) == _axis(wanted[1])
    along, down = (found[1], found[0]) if transposed else found
    if (_axis(along), _axis(down)) != (_axis(wanted[0]), _axis(wanted[1])):
        raise Unsupported("the image shows another plane of the body than this model takes")
    return Turn(transposed, rows_turned=down != wanted[1], columns_turned=along != wanted[0])


def directions(dataset: Dataset) -> Directions | None:
    """The main direction of a row (from left to right) and of a column (downwards); None where the header is silent."""
    told = _words(dataset.get("PatientOrientation"))
    if len(told) == 2 and all(word[:1] in OPPOSITE for word in told):
        return told[0][0], told[1][0]
    cosines = _numbers(dataset.get("ImageOrientationPatient"))
    if len(cosines) != 6 or not all(math.isfinite(value) for value in cosines):
        return None
    found = _main(cosines[:3]), _main(cosines[3:])
    return found if _axis(found[0]) != _axis(found[1]) else None


def _axis(direction: str) -> frozenset[str]:
    return frozenset((direction, OPPOSITE[direction]))


def _main(cosines: list[float]) -> str:
    place = max(range(3), key=lambda axis: abs(cosines[axis]))
    return _TOWARDS[place][0 if cosines[place] >= 0 else 1]


def _words(value: Any) -> list[str]:
    return [] if value is None or isinstance(value, str) else [str(word).strip().upper() for word in value]


def _numbers(value: Any) -> list[float]:
    try:
        return [] if value is None else [float(one) for one in value]
    except (TypeError, ValueError):
        return []
