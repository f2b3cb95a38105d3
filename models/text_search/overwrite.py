"""Boxes overwritten in an object's stored pixels, and bits cleared in which nothing may be stored.

Native pixels are changed in place, so that all others stay as they are; compressed ones are decoded and written native,
because a lossy codec would smear what was masked. PS3.3 C.7.6.3.1 (image pixel), PS3.5 8.1 (unused bits).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from gateway.domain.clearance import ALL_FRAMES, Box
from models.runtime.decoding import Decode, decode_here
from models.text_search.frames import Form, coloured, stored_frames

TRANSFER_SYNTAX: Final = 0x00020010
_SAMPLES, _PHOTOMETRIC, _PLANAR = 0x00280002, 0x00280004, 0x00280006
_BITS_ALLOCATED: Final = 0x00280100
_IN_PLACE: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL"})
Pixels = npt.NDArray[Any]
Value = int | str


@dataclass(frozen=True)
class Overwritten:
    """The value of Pixel Data, native, with the attributes that changed; `altered` is what differs from before."""

    pixel_data: bytes = field(repr=False)
    changes: Mapping[int, Value]


def overwrite(
    dataset: FileDataset, layout: Form, boxes: Sequence[Box], decode: Decode = decode_here
) -> Overwritten | None:
    """The pixels with every box in black; None where nothing had to change."""
    if in_place(dataset, layout):
        buffer = bytearray(dataset.PixelData)
        frames = _frames(dataset, layout, buffer)
        before = bytes(buffer) if not boxes else b""
        _clear_unused(dataset, layout, frames)
        if not boxes and bytes(buffer) == before:
            return None
        _fill(frames, boxes, _black(dataset, layout, frames), planar=_is_planar(dataset, layout))
        return Overwritten(bytes(buffer), {})
    if not boxes:
        return None
    return _decoded(dataset, layout, boxes, decode)


def in_place(dataset: FileDataset, layout: Form) -> bool:
    """Whether the stored values lie there as they are."""
    return not dataset.file_meta.TransferSyntaxUID.is_encapsulated and layout.photometric in _IN_PLACE


def _decoded(dataset: FileDataset, layout: Form, boxes: Sequence[Box], decode: Decode) -> Overwritten:
    shape = (layout.frames, layout.rows, layout.columns) + ((3,) if layout.samples == 3 else ())
    frames: Pixels | None = None
    for number, values in enumerate(stored_frames(dataset, layout, decode)):
        if frames is None:
            frames = np.empty(shape, values.dtype)
        frames[number] = values
    assert frames is not None  # noqa: S101 - stored_frames gives at least one
    _fill(frames, boxes, _black(dataset, layout, frames), planar=False)
    changes: dict[int, Value] = {_BITS_ALLOCATED: frames.dtype.itemsize * 8}
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        changes[TRANSFER_SYNTAX] = str(ExplicitVRLittleEndian)
    if layout.samples == 3:
        changes |= {_PHOTOMETRIC: "RGB", _PLANAR: 0}
    kind = f"{_order(dataset)}{frames.dtype.kind}{frames.dtype.itemsize}"
    data = frames.astype(np.dtype(kind), copy=False).tobytes()
    return Overwritten(data + b"\0" * (len(data) & 1), changes)


def _frames(dataset: FileDataset, layout: Form, buffer: bytearray) -> Pixels:
    """(frames, rows, columns), with a last or, planar, a second axis of samples; writes go into `buffer`."""
    kind = "i" if dataset.get("PixelRepresentation") == 1 else "u"
    values = np.frombuffer(buffer, np.dtype(f"{_order(dataset)}{kind}{layout.bits // 8}"))
    shape: tuple[int, ...] = (layout.frames, layout.rows, layout.columns)
    if layout.samples == 3:
        shape = (layout.frames, 3, *shape[1:]) if _is_planar(dataset, layout) else (*shape, 3)
    return values[: layout.decoded * 8 // layout.bits].reshape(shape)


def _order(dataset: FileDataset) -> str:
    return ">" if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"


def _is_planar(dataset: FileDataset, layout: Form) -> bool:
    return layout.samples == 3 and dataset.get("PlanarConfiguration") == 1


def _clear_unused(dataset: FileDataset, layout: Form, frames: Pixels) -> None:
    """Bits above the stored ones held overlays once; they become zero, or the sign (PS3.5 8.1.1)."""
    stored = int(dataset.get("BitsStored") or layout.bits)
    if stored == layout.bits:
        return
    if dataset.get("PixelRepresentation") == 1:
        shift = layout.bits - stored
        frames[...] = np.right_shift(np.left_shift(frames, shift), shift)
    else:
        frames &= (1 << stored) - 1


def _black(dataset: FileDataset, layout: Form, frames: Pixels) -> Sequence[int]:
    """The stored value, for each sample, that is shown black."""
    if layout.photometric == "YBR_FULL" and in_place(dataset, layout):
        return (0, 128, 128)
    if layout.samples == 3:
        return (0, 0, 0)
    if layout.photometric == "PALETTE COLOR":
        return (_darkest(dataset, layout),)
    return (int(frames.max()) if layout.photometric == "MONOCHROME1" else int(frames.min()),)


def _darkest(dataset: FileDataset, layout: Form) -> int:
    """The index of the palette's darkest entry."""
    entries = int(dataset.RedPaletteColorLookupTableDescriptor[0]) or 1 << 16
    first = int(dataset.RedPaletteColorLookupTableDescriptor[1])
    indices = np.arange(first, min(first + entries, 1 << layout.bits)).astype(f"u{layout.bits // 8}")
    return first + int(coloured(indices[None], dataset)[0].astype(np.int64).sum(axis=-1).argmin())


def _fill(frames: Pixels, boxes: Sequence[Box], black: Sequence[int], *, planar: bool) -> None:
    """A constant that is not taken from the picture tells nothing of what it covers."""
    for which, down, right in _places(boxes, len(frames)):
        for sample, value in enumerate(black):
            if len(black) == 1:
                frames[which, down, right] = value
            elif planar:
                frames[which, sample, down, right] = value
            else:
                frames[which, down, right, sample] = value


def _places(boxes: Sequence[Box], frames: int) -> Iterator[tuple[slice, slice, slice]]:
    for box in boxes:
        which = slice(None) if box.frame == ALL_FRAMES else slice(box.frame, box.frame + 1)
        if box.frame < frames:
            down = slice(max(0, box.top), max(0, box.top + box.height))
            yield which, down, slice(max(0, box.left), max(0, box.left + box.width))
