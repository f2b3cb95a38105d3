"""Synthetic frames with text burned into them, and where its ink is: what detectors are measured on.

After the design of published tests of pixel redaction: a scan sector of speckle on a black screen, graphics that are
no text, and strings like those that scanners write, on the margin or over tissue, bright or dim, in several sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

ROWS, COLUMNS = 768, 1024
STRINGS = (
    "SMITH^JOHN",
    "ID 4471902",
    "03/04/1961",
    "ST MARY HOSPITAL",
    "Dr. A. Okafor",
    "25-Nov-2026 10:41",
    "MRN-00817",
)
SYSTEM_FONTS = tuple(
    path
    for path in (
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf"),
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"),
        Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"),
    )
    if path.exists()
)


@dataclass(frozen=True)
class Written:
    """A frame with strings, the ink of each, and the scan sector."""

    frame: Bytes
    inks: tuple[Mask, ...]
    sector: Mask


def sector_mask(rows: int = ROWS, columns: int = COLUMNS) -> Mask:
    """The fan of a curved array: two angles around an apex above the image."""
    down, right = np.mgrid[0:rows, 0:columns].astype(np.float32)
    apex_row, apex_column = -0.12 * rows, columns / 2
    radius = np.hypot(down - apex_row, right - apex_column)
    angle = np.abs(np.arctan2(right - apex_column, down - apex_row))
    return (radius > 0.24 * rows) & (radius < 1.03 * rows) & (angle < 0.62)


def speckle(rng: np.random.Generator, rows: int = ROWS, columns: int = COLUMNS) -> Bytes:
    """Log-compressed Rayleigh speckle over slowly varying echogenicity, no text."""
    grain = np.hypot(_smooth(rng.normal(size=(rows, columns)), 2), _smooth(rng.normal(size=(rows, columns)), 2))
    coarse = rng.normal(size=(rows // 64 + 2, columns // 64 + 2)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC))
    shown = 85 + 30 * field + 45 * np.log(grain / grain.mean() + 0.05)
    return np.clip(shown, 0, 255).astype(np.uint8)


def _smooth(noise: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(size)) / size
    return noise


def scan(rng: np.random.Generator) -> tuple[Bytes, Mask]:
    """A screen with a speckle sector, a grey bar and depth ticks; no text."""
    sector = sector_mask()
    frame = np.where(sector, speckle(rng), 0).astype(np.uint8)
    frame[120:376, 40:56] = np.arange(255, -1, -1, dtype=np.uint8)[:, None]
    for tick in range(100, 700, 60):
        frame[tick : tick + 2, 985:995] = 160
    return frame, sector


def font(size: int, which: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One of the fonts at hand; Pillow's own is always there."""
    if which % (len(SYSTEM_FONTS) + 1) == 0:
        return ImageFont.load_default(size)
    return ImageFont.truetype(SYSTEM_FONTS[which % (len(SYSTEM_FONTS) + 1) - 1], size)


def write_text(frame: Bytes, text: str, place: tuple[int, int], size: int, grey: int, *, which: int = 0) -> Mask:
    """Burns a string into `frame` with its left top corner at (left, top); returns its ink."""
    cover = Image.new("L", (frame.shape[1], frame.shape[0]))
    ImageDraw.Draw(cover).text(place, text, fill=255, font=font(size, which))
    opacity = np.asarray(cover, np.float32) / 255
    shape = (*opacity.shape, 1) if frame.ndim == 3 else opacity.shape
    frame[:] = np.rint(frame * (1 - opacity.reshape(shape)) + grey * opacity.reshape(shape)).astype(np.uint8)
    return np.asarray(opacity > 0.4)


def written(seed: int, size: int, grey: int, over: str, strings: tuple[str, ...] = STRINGS) -> Written:
    """A frame with every string once, `over` the margin or tissue."""
    rng = np.random.default_rng(seed)
    frame, sector = scan(rng)
    inks = []
    for row, text in enumerate(strings):
        inks.append(write_text(frame, text, _place(rng, row, over), size, grey, which=row + seed))
    return Written(frame, tuple(inks), sector)


def _place(rng: np.random.Generator, row: int, over: str) -> tuple[int, int]:
    if over == "tissue":
        return int(rng.integers(380, 470)), 200 + row * 70 + int(rng.integers(0, 20))
    side = row % 2
    return (
        int(rng.integers(90, 110)) if side else int(rng.integers(745, 790)),
        8 + row * 38 + int(rng.integers(0, 10)),
    )
