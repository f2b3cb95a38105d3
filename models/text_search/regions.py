"""Where a frame shows tissue and where it is margin: as the object declares it, and as the picture looks.

Sequence of Ultrasound Regions (0018,6011) gives the rectangles of scan data (PS3.3 C.8.5.5.1). Where none is declared,
and inside wide rectangles, blocks of even grey are margin. Over margin a detector may mask freely; over tissue only
what is surely writing may go.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from models.text_search.components import components
from models.text_search.rectangle import Rectangle

BLOCK: Final = 16
_TEXTURE: Final = 3.0  # standard deviation of grey in a block
_DRAWN: Final = 0.8  # a bright block that is more even than this was filled by a program, no film or probe
_DARK: Final = 40.0  # mean grey of the air around a body, and of a screen around a scan
_LEAST_SHARE: Final = 0.02  # of the picture; a smaller patch of texture is writing or a logo
_MOST_REGIONS: Final = 64
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def declared(dataset: Dataset, rows: int, columns: int) -> list[Rectangle]:
    """The declared scan regions that lie in the picture; both ends of a region belong to it."""
    found = []
    for region in list(dataset.get("SequenceOfUltrasoundRegions") or [])[:_MOST_REGIONS]:
        try:
            left, top = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
            right, bottom = int(region.RegionLocationMaxX1) + 1, int(region.RegionLocationMaxY1) + 1
        except (AttributeError, TypeError, ValueError):
            continue  # a region that does not say where it is declares nothing
        box = Rectangle(left, top, right, bottom).within(rows, columns)
        if box.area:
            found.append(box)
    return found


def tissue(grey: Bytes, regions: list[Rectangle]) -> Mask:
    """Pixels that may show tissue: textured, and inside a declared region where there are any."""
    shown = _textured(grey)
    if regions:
        inside = np.zeros(grey.shape, np.bool_)
        for region in regions:
            inside[region.slices] = True
        shown &= inside
    return shown


def _textured(grey: Bytes) -> Mask:
    """Large textured areas with what they enclose."""
    rows, columns = grey.shape
    padded = np.pad(grey, ((0, -rows % BLOCK), (0, -columns % BLOCK)), mode="edge").astype(np.float32)
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK)
    deviation, mean = blocks.std(axis=(1, 3)), blocks.mean(axis=(1, 3))
    marked = (deviation > _TEXTURE) | ((deviation > _DRAWN) & (mean > _DARK))
    kept = _dilated(_eroded(marked))
    large = np.zeros_like(kept)
    found = components(kept)
    for top, left, bottom, right, area in zip(
        found.top, found.left, found.bottom, found.right, found.area, strict=True
    ):
        if area >= max(4, _LEAST_SHARE * kept.size):
            large[top:bottom, left:right] |= kept[top:bottom, left:right]
    large = _between(large)
    return np.repeat(np.repeat(large, BLOCK, 0), BLOCK, 1)[:rows, :columns]


def _eroded(mask: Mask) -> Mask:
    """Writing is one or two blocks high: it does not survive a square of three, tissue does."""
    padded = np.pad(mask, 1, mode="edge")
    kept = np.ones_like(mask)
    for down in range(3):
        for right in range(3):
            kept &= padded[down : down + mask.shape[0], right : right + mask.shape[1]]
    return kept


def _dilated(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    grown = np.zeros_like(mask)
    for down in range(3):
        for right in range(3):
            grown |= padded[down : down + mask.shape[0], right : right + mask.shape[1]]
    return grown


def _between(mask: Mask) -> Mask:
    """What has marked blocks on both sides in its row and in its column: cysts and shadows inside a sector."""
    rows = np.logical_or.accumulate(mask, 1) & np.logical_or.accumulate(mask[:, ::-1], 1)[:, ::-1]
    columns = np.logical_or.accumulate(mask, 0) & np.logical_or.accumulate(mask[::-1], 0)[::-1]
    return np.asarray(mask | (rows & columns))
