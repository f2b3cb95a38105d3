"""One look at one picture: where text is, told apart from tissue that resembles it.

Over margin every detector's word is enough. Over tissue the network alone decides, and what it says there counts when
the place is small enough for a line of text and the network says so again of the place alone, or strokes stand out
there as only drawn ones do. Rows of even glyphs over tissue that it does not confirm are a doubt for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.text_search import regions, tophat
from models.text_search.detector import NAME as NETWORK
from models.text_search.detector import Line, TextDetector
from models.text_search.frames import Shown
from models.text_search.rectangle import Rectangle, covered
from models.text_search.tophat import FAINT, STRONG, WEAK, Row, rows_of_glyphs, top_hat

_LEAST: Final = 0.3  # confidence over margin
_LEAST_OVER_TISSUE: Final = 0.5
_HIGHEST: Final = 0.075  # of the longer side: a line of text is not higher
_LOW_SIDE: Final = 32  # but may have this many rows in a small picture
_DRAWN: Final = 90  # top-hat that speckle does not reach in four of a hundred pixels
_SMALL: Final = 0.01  # of the picture
_EVEN_GLYPHS: Final = 6
_EVEN: Final = 0.15
_EVEN_CONTRAST: Final = 120.0
Mask = npt.NDArray[np.bool_]


class Found(NamedTuple):
    """A place with text, who says so and how surely."""

    box: Rectangle
    detector: str
    confidence: float


@dataclass(frozen=True)
class Look:
    """What one look found; `doubtful` are rows over tissue that may be writing."""

    found: tuple[Found, ...]
    doubtful: tuple[Rectangle, ...]


def look(picture: Shown, declared: Sequence[Rectangle], detector: TextDetector) -> Look:
    """Searches one picture with the network and the top-hat; `declared` are its scan regions."""
    tissue = regions.tissue(picture.bright, list(declared))
    found = [
        Found(line.box, NETWORK, line.confidence)
        for line in detector.lines(picture.colour, _LEAST)
        if _is_text(line, picture, tissue, detector)
    ]
    margin = ~tissue
    if margin.any():
        rows = rows_of_glyphs(picture.bright, (STRONG, WEAK, FAINT), margin, picture.dark)
        found += [Found(_inside(row.box, picture), tophat.NAME, 1.0) for row in rows]
    return Look(tuple(found), tuple(_doubtful(picture, tissue, found)))


def even_rows(picture: Shown, where: Mask | None = None) -> list[Row]:
    """Rows of glyphs so even and so bright that hardly any tissue makes them."""
    rows = rows_of_glyphs(picture.bright, (STRONG,), where, picture.dark)
    return [
        row for row in rows if row.glyphs >= _EVEN_GLYPHS and row.unevenness <= _EVEN and row.contrast >= _EVEN_CONTRAST
    ]


def _is_text(line: Line, picture: Shown, tissue: Mask, detector: TextDetector) -> bool:
    rows, columns = picture.bright.shape
    highest = max(_LOW_SIDE, _HIGHEST * max(rows, columns))
    short = min(line.box.width, line.box.height)
    if float(tissue[line.box.slices].mean()) < 0.5:
        return bool(short <= 2 * highest)
    if line.confidence < _LEAST_OVER_TISSUE or not 0 < short <= highest:
        return False
    small = short <= highest / 2 and line.box.area <= _SMALL * rows * columns
    return (small and _is_drawn(picture, line.box)) or detector.confirms(picture.colour, line.box)


def _is_drawn(picture: Shown, box: Rectangle) -> bool:
    """Whether thin strokes stand out, bright or dark."""
    around = box.grown(tophat.SQUARE).within(*picture.bright.shape)
    views = picture.bright[around.slices], 255 - picture.dark[around.slices]
    return any(float(np.percentile(top_hat(view), 96)) >= _DRAWN for view in views)


def _doubtful(picture: Shown, tissue: Mask, found: Sequence[Found]) -> list[Rectangle]:
    if not tissue.any():
        return []
    known = covered((one.box for one in found), *picture.bright.shape)
    rows = [_inside(row.box, picture) for row in even_rows(picture, tissue)]
    return [box for box in rows if float(known[box.slices].mean()) < 0.5]


def _inside(box: Rectangle, picture: Shown) -> Rectangle:
    return box.within(*picture.bright.shape)
