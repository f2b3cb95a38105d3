"""The picture that a person sees of a held object: one frame as it is shown, no larger than a screen."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

LONGEST_SIDE: Final = 1024


def preview(picture: npt.NDArray[np.uint8]) -> bytes:
    """PNG of a picture (rows, columns) or (rows, columns, 3), at most LONGEST_SIDE pixels on a side."""
    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=4)
    return written.getvalue()
