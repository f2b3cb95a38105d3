"""From the bytes of a DICOM file to the tensor that a pack's manifest declares.

Training and serving use the same functions, so that what was evaluated is what runs. Every bound (bytes,
rows, columns, frames) is checked on the header before a single pixel is decoded. Sections: PS3.3 C.7.6.3
(image pixel), C.11.1 (modality LUT), C.11.2 (VOI LUT), PS3.5 A.5 (deflated transfer syntax).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import DeflatedExplicitVRLittleEndian

from gateway.domain.errors import Invalid, Unsupported
from models.inputs import ImageInput
from models.runtime.decoding import Decode, decode_here, decoded
from models.runtime.orientation import AS_IT_CAME, Turn, turn_to

_META = 144  # preamble, prefix and the first element of the file meta group, which has a fixed length
FILE_LIMIT = 256 * 1024 * 1024  # bytes of one instance, also after inflating
Numbers = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Window:
    """Part of the frame that the tensor shows, in the frame's rows and columns after `turn` was done to it."""

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    turn: Turn = AS_IT_CAME


@dataclass(frozen=True)
class Frame:
    """A frame on its way through the steps: (rows, columns) or (rows, columns, 3) and the part kept."""

    pixels: Numbers
    window: Window
    dataset: FileDataset


@dataclass(frozen=True)
class Prepared:
    """The tensor (height, width, 1) of raw grey levels 0 to 255, and the square that it shows, for display."""

    tensor: Numbers
    square: Bytes
    window: Window


def read(data: bytes, limit: int = FILE_LIMIT) -> FileDataset:
    """Parse a DICOM file, pixels still encoded. Raises `Invalid`; never quotes a value."""
    if len(data) > limit:
        raise Invalid(f"instance is longer than {limit} bytes")
    try:
        if _deflated(data):
            _check_inflated(data, limit)
        dataset = pydicom.dcmread(io.BytesIO(data))
    except Invalid:
        raise
    except Exception as error:  # the parser raises whatever a hostile file provokes
        raise Invalid(f"instance cannot be parsed ({type(error).__name__})") from error
    if "SOPClassUID" not in dataset:
        raise Invalid("instance has no SOP class")
    return dataset


def prepare(dataset: FileDataset, rule: ImageInput, decode: Decode = decode_here) -> Prepared:
    """Decode one frame and take it through the manifest's steps."""
    check_bounds(dataset, rule)
    frame = Frame(*_decoded(dataset, rule, decode), dataset)
    before = frame
    for step in rule.steps:
        if step == "resize-bicubic":
            before = frame
        frame = STEPS[step](frame, rule)
    square = _to_bytes(before.pixels)
    return Prepared(frame.pixels[..., None].astype(np.float32), square, frame.window)


def check_bounds(dataset: FileDataset, rule: ImageInput) -> None:
    """Refuse by the header alone what is too large, too small, or of a form that was not evaluated."""
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not (rule.min_side <= min(rows, columns) and max(rows, columns) <= rule.max_side):
        raise Unsupported(f"rows and columns must lie in {rule.min_side} to {rule.max_side}")
    if not 1 <= frames <= rule.max_frames or (rule.frames == "single" and frames != 1):
        raise Unsupported("more frames than this model takes")
    if int(dataset.get("BitsAllocated") or 0) not in (8, 16) or "PixelData" not in dataset:
        raise Unsupported("only integer pixel data of 8 or 16 bits is taken")
    if int(dataset.get("SamplesPerPixel") or 1) not in (1, 3):
        raise Unsupported("only one or three samples per pixel are taken")


def _decoded(dataset: FileDataset, rule: ImageInput, decode: Decode) -> tuple[Numbers, Window]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    index = frames // 2 if rule.frames == "middle" else 0
    pixels = decoded(dataset, index, frames, decode)  # YBR becomes RGB here
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        try:
            pixels = apply_color_lut(pixels, dataset)
        except Exception as error:  # a palette is data from outside
            raise Invalid(f"the palette cannot be applied ({type(error).__name__})") from error
    rows, columns = pixels.shape[:2]
    if (rows, columns) != (int(dataset.Rows), int(dataset.Columns)):
        raise Invalid("decoded rows and columns differ from the header")
    return pixels.astype(np.float32), Window(0, 0, rows, columns, rows, columns)


def _rescale(frame: Frame, rule: ImageInput) -> Frame:
    """Stored values to the values that the modality means (PS3.3 C.11.1)."""
    if frame.pixels.ndim == 3:
        return frame
    return replace(frame, pixels=np.asarray(apply_modality_lut(_whole(frame), frame.dataset), np.float32))


def _window(frame: Frame, rule: ImageInput) -> Frame:
    """To 0..255 by the header's first VOI LUT or window; without either, eight bits as they are, else the range.

    PS3.3 C.11.2.1: a VOI LUT goes before a window; C.11.2.1.2.1 and C.11.2.1.3 give the three functions.
    """
    if frame.pixels.ndim == 3:
        return frame
    dataset, pixels = frame.dataset, frame.pixels
    if dataset.get("VOILUTSequence"):
        shown = apply_voi_lut(_whole(frame), dataset, index=0, prefer_lut=True)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return replace(frame, pixels=np.asarray(shown, np.float32) * (255.0 / (2**bits - 1)))
    if dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
        return replace(frame, pixels=_windowed(pixels, dataset))
    if int(dataset.get("BitsStored") or 8) == 8:
        return frame
    low, high = float(pixels.min()), float(pixels.max())
    return replace(frame, pixels=(pixels - low) * (255.0 / max(high - low, 1e-6)))


def _windowed(pixels: Numbers, dataset: FileDataset) -> Numbers:
    centre, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    least = 1.0 if function == "LINEAR" else np.finfo(np.float32).tiny  # C.11.2.1.2.1: at least 1, else above 0
    if not (np.isfinite(centre) and least <= width < np.inf):
        raise Invalid("the header's window is none")
    if function == "SIGMOID":
        power = np.clip(-4.0 * (pixels - centre) / max(width, 1e-6), -60.0, 60.0)
        return np.asarray(255.0 / (1.0 + np.exp(power)), np.float32)
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1.0
    share = (pixels - centre) / max(width, 1e-6) + 0.5
    return np.asarray(np.clip(share, 0.0, 1.0) * 255.0, np.float32)


def _first(value: object) -> float:
    return float(value[0] if isinstance(value, (list, MultiValue)) else value)  # type: ignore[arg-type]


def _polarity(frame: Frame, rule: ImageInput) -> Frame:
    """MONOCHROME1 shows low values bright: turn it over, so that bright is high."""
    if frame.dataset.get("PhotometricInterpretation") != "MONOCHROME1":
        return frame
    return replace(frame, pixels=255.0 - frame.pixels)


def _grey(frame: Frame, rule: ImageInput) -> Frame:
    """RGB to luminance (ITU-R BT.601, as Pillow's mode L)."""
    if frame.pixels.ndim == 2:
        return frame
    pixels = frame.pixels
    if frame.dataset.get("BitsAllocated") == 16 or float(pixels.max(initial=0)) > 255:
        pixels = pixels / 257.0
    weights = np.asarray([0.299, 0.587, 0.114], np.float32)
    return replace(frame, pixels=pixels @ weights)


def _upright(frame: Frame, rule: ImageInput) -> Frame:
    """Rows and columns run in the patient as the manifest says (PS3.3 C.7.6.1.1.1)."""
    wanted = (rule.orientation[0], rule.orientation[1])
    turn = turn_to(frame.dataset, wanted, required=rule.orientation_required)
    pixels = turn.apply(frame.pixels)
    rows, columns = pixels.shape[:2]
    return replace(frame, pixels=pixels, window=Window(0, 0, rows, columns, rows, columns, turn))


def _centre_square(frame: Frame, rule: ImageInput) -> Frame:
    """The middle of the longer side, as MedMNIST cut its images."""
    rows, columns = frame.pixels.shape[:2]
    side = min(rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    kept = replace(frame.window, top=top, left=left, height=side, width=side)
    return replace(frame, pixels=frame.pixels[top : top + side, left : left + side], window=kept)


def _resize(frame: Frame, rule: ImageInput) -> Frame:
    small = resize(_to_bytes(frame.pixels), rule.height)
    return replace(frame, pixels=small.astype(np.float32))


def resize(square: Bytes, side: int) -> Bytes:
    """Bicubic, with Pillow's area-aware support when shrinking; what MedMNIST used to make its arrays."""
    if square.shape == (side, side):
        return square
    return np.asarray(Image.fromarray(square).resize((side, side), Image.Resampling.BICUBIC))


def _to_bytes(pixels: Numbers) -> Bytes:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _whole(frame: Frame) -> npt.NDArray[np.int32]:
    return frame.pixels.astype(np.int32)


STEPS: dict[str, Callable[[Frame, ImageInput], Frame]] = {
    "rescale": _rescale,
    "window": _window,
    "polarity": _polarity,
    "grey": _grey,
    "upright": _upright,
    "centre-square": _centre_square,
    "resize-bicubic": _resize,
}


def _deflated(data: bytes) -> bool:
    syntax = DeflatedExplicitVRLittleEndian.encode("ascii")
    wanted = b"\x02\x00\x10\x00UI" + len(syntax).to_bytes(2, "little") + syntax
    return data[128:132] == b"DICM" and wanted in data[_META : _meta_end(data)]


def _meta_end(data: bytes) -> int:
    """Where the data set begins: the group length of (0002,0000) counts from behind itself (PS3.10 7.1)."""
    return _META + int.from_bytes(data[_META - 4 : _META], "little")


def _check_inflated(data: bytes, limit: int) -> None:
    """The parser inflates without a limit, so the size is measured first, in pieces."""
    inflate, left, size = zlib.decompressobj(-zlib.MAX_WBITS), data[_meta_end(data) :], 0
    while left and not inflate.eof:
        size += len(inflate.decompress(left, 1 << 20))
        left = inflate.unconsumed_tail
        if size > limit:
            raise Invalid(f"instance inflates to more than {limit} bytes")
