"""The frames of an object as a person would see them, in grey and colour, and what bounds their decoding.

Palettes and windows are applied before anybody looks: raw palette indices lose writing, a wide 16-bit range hides it.
Every size is checked before a codec may believe it. PS3.3 C.7.6.3 (image pixel), C.11.2 (VOI LUT).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.multival import MultiValue
from pydicom.pixels import iter_pixels
from pydicom.pixels.processing import apply_color_lut

from gateway.domain.errors import Invalid, Unsupported
from models.runtime.decoding import NATIVE, Coded, Decode, checked, coded_frame, decode_here, refusal
from models.runtime.preprocess import read

FILE_LIMIT: Final = 1 << 30  # bytes of one object, also after inflating
DECODED_LIMIT: Final = 1 << 30  # bytes of all its frames
MOST_FRAMES: Final = 4000
LONGEST_SIDE: Final = 16384
_SHOWN: Final = 3_000_000  # pixels of a shown picture; a larger one is shown smaller
Bytes = npt.NDArray[np.uint8]
Stored = npt.NDArray[Any]


@dataclass(frozen=True)
class Shown:
    """One frame as it is searched: brightest channel, darkest channel, and in colour where it has any."""

    bright: Bytes
    dark: Bytes
    colour: Bytes


@dataclass(frozen=True)
class Form:
    """How an object's pixels are laid out, from its header."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits: int
    photometric: str

    @property
    def decoded(self) -> int:
        return self.rows * self.columns * self.frames * self.samples * self.bits // 8

    @property
    def factor(self) -> int:
        """By how much each side is shown smaller."""
        factor = 1
        while self.rows * self.columns > _SHOWN * factor * factor:
            factor += 1
        return factor


def opened(file: bytes) -> FileDataset:
    """The object, pixels still encoded; Invalid where it cannot be parsed."""
    return read(file, FILE_LIMIT)


def form(dataset: FileDataset) -> Form:
    """Checked against every limit; Unsupported where the search does not know the form, or it is too large."""
    try:
        found = Form(
            rows=int(dataset.get("Rows") or 0),
            columns=int(dataset.get("Columns") or 0),
            frames=int(dataset.get("NumberOfFrames") or 1),
            samples=int(dataset.get("SamplesPerPixel") or 1),
            bits=int(dataset.get("BitsAllocated") or 0),
            photometric=str(dataset.get("PhotometricInterpretation") or ""),
        )
    except (TypeError, ValueError) as error:
        raise Invalid("the header does not say how the pixels are laid out") from error
    if "PixelData" not in dataset:
        raise Unsupported("it has no integer pixel data")
    if found.bits not in (8, 16) or found.samples not in (1, 3):
        raise Unsupported("only 8 or 16 bits and one or three samples can be searched")
    if not (0 < found.rows <= LONGEST_SIDE and 0 < found.columns <= LONGEST_SIDE):
        raise Unsupported(f"rows and columns must lie in 1 to {LONGEST_SIDE}")
    stored = int(dataset.get("BitsStored") or found.bits)
    if not 0 < stored <= found.bits or int(dataset.get("HighBit") or stored - 1) != stored - 1:
        raise Unsupported("bits that are not stored from the lowest on cannot be searched")
    if not 0 < found.frames <= MOST_FRAMES:
        raise Unsupported(f"frames must lie in 1 to {MOST_FRAMES}")
    if found.decoded > DECODED_LIMIT:
        raise Unsupported(f"its frames take more than {DECODED_LIMIT} bytes")
    return found


def stored_frames(dataset: FileDataset, layout: Form, decode: Decode = decode_here) -> Iterator[Stored]:
    """Each frame's values, (rows, columns) or (rows, columns, 3), YBR as RGB; Invalid where one does not decode."""
    shape = (layout.rows, layout.columns) + ((3,) if layout.samples == 3 else ())
    count = 0
    for values in _frames(dataset, layout, decode):
        if values.shape != shape:
            raise Invalid("decoded rows and columns differ from the header")
        count += 1
        yield values
    if count != layout.frames:
        raise Invalid("there are fewer frames than the header says")


def _frames(dataset: FileDataset, layout: Form, decode: Decode) -> Iterator[Stored]:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    why = refusal(syntax)
    if why is not None:
        raise Invalid(f"pixel data cannot be decoded: {why}")
    if syntax in NATIVE:
        yield from _guarded(iter_pixels(dataset), "pixel data cannot be decoded")
        return
    for _ in _coded(dataset, syntax, layout):
        pass  # every frame is looked at before the first is decoded
    for coded in _coded(dataset, syntax, layout):
        yield decode(coded)


def _coded(dataset: FileDataset, syntax: str, layout: Form) -> Iterator[Coded]:
    encoded = generate_frames(dataset.PixelData, number_of_frames=layout.frames)
    for frame in _guarded(encoded, "pixel data has no sound frames"):
        yield _guarded_coded(dataset, syntax, bytes(frame))


def _guarded_coded(dataset: FileDataset, syntax: str, frame: bytes) -> Coded:
    try:
        return checked(coded_frame(dataset, syntax, frame))
    except Invalid:
        raise
    except Exception as error:  # a header is data from outside
        raise Invalid(f"the header does not say how the pixels are encoded ({type(error).__name__})") from error


def _guarded(frames: Iterator[Any], what: str) -> Iterator[Any]:
    """A codec raises whatever a hostile stream provokes; here it is all Invalid."""
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except Exception as error:
            raise Invalid(f"{what} ({type(error).__name__})") from error
        yield frame


def shown(values: Stored, dataset: FileDataset, layout: Form) -> list[Shown]:
    """The views in which one frame is searched: one, or a second where the first cuts bright or dark values off."""
    if layout.photometric == "PALETTE COLOR":
        values = coloured(values, dataset)
    if values.ndim == 3:
        eight = values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)
        small = _smaller(eight, layout.factor)
        return [Shown(small.max(axis=2), small.min(axis=2), small)]
    views = []
    for low, high in _ranges(values, dataset):
        grey = _smaller(_grey(values, low, high), layout.factor)
        if layout.photometric == "MONOCHROME1":
            grey = 255 - grey
        views.append(Shown(grey, grey, grey))
    return views


def coloured(values: Stored, dataset: FileDataset) -> Stored:
    """Palette indices as red, green and blue."""
    try:
        return np.asarray(apply_color_lut(values, dataset))[..., :3]
    except Exception as error:  # a palette is data from outside
        raise Invalid(f"the palette cannot be applied ({type(error).__name__})") from error


def _ranges(values: Stored, dataset: FileDataset) -> list[tuple[float, float]]:
    """The stored range that is shown from black to white: as the window says, and whole where that hides something."""
    least, most = float(values.min()), float(values.max())
    whole = (0.0, 255.0) if values.dtype == np.uint8 else (least, most)
    window = _window(dataset)
    if window is None and values.dtype == np.uint8:
        return [whole]
    low, high = window or (float(np.percentile(values[::4, ::4], share)) for share in (0.5, 99.5))
    if high <= low:
        return [whole]
    slack = 0.15 * (high - low)
    return [(low, high)] if least >= low - slack and most <= high + slack else [(low, high), whole]


def _window(dataset: FileDataset) -> tuple[float, float] | None:
    """The first window, in stored values."""
    try:
        centre, width = (_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth"))
        if centre is None or width is None or width < 1:
            return None
        slope, intercept = _first(dataset.get("RescaleSlope")) or 1.0, _first(dataset.get("RescaleIntercept")) or 0.0
    except (TypeError, ValueError):
        return None
    ends = sorted(((centre + side * width / 2) - intercept) / slope for side in (-1, 1))
    return (ends[0], ends[1]) if np.isfinite(ends).all() else None


def _first(value: Any) -> float | None:
    if isinstance(value, list | MultiValue):
        value = value[0] if value else None
    return None if value is None else float(value)


def _grey(values: Stored, low: float, high: float) -> Bytes:
    scaled = (values.astype(np.float32) - low) * (255.0 / max(high - low, 1e-6))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), np.uint8)


def _smaller(picture: Bytes, factor: int) -> Bytes:
    """Means of squares; what does not fill a square at the far edges is repeated into one."""
    if factor == 1:
        return picture
    rows, columns = picture.shape[:2]
    edges = [(0, -rows % factor), (0, -columns % factor)] + [(0, 0)] * (picture.ndim - 2)
    padded = np.pad(picture, edges, mode="edge").astype(np.float32)
    shape = (padded.shape[0] // factor, factor, padded.shape[1] // factor, factor, *padded.shape[2:])
    return np.asarray(np.rint(padded.reshape(shape).mean(axis=(1, 3))), np.uint8)
