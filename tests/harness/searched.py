"""Objects whose pixels are to be searched, in every form that a modality may give them, and a search to do it."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import pydicom
from harness.intake import US, image
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from gateway.ports import SearchedPixels
from gateway.privacy.masked_file import replace_pixels
from models.runtime.providers import Policy
from models.text_search import device_rules
from models.text_search.detector import TextDetector
from models.text_search.search import TextSearch


@cache
def detector() -> TextDetector:
    return TextDetector(Policy.CPU_ONLY, 2)


def search(**changes: Any) -> TextSearch:
    told = {"rules": device_rules.load(), "max_masked_share": 0.35, **changes}
    return TextSearch(detector(), **told)


def shot(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """An ultrasound object of one frame (rows, columns), one in colour (.., 3), or of several (frames first)."""
    samples = 3 if pixels.shape[-1] == 3 else 1
    frames = pixels.shape[0] if pixels.ndim == 3 + (samples == 3) else 1
    rows, columns = pixels.shape[-2 - (samples == 3) : pixels.ndim - (samples == 3)]
    bits = pixels.dtype.itemsize * 8
    told: dict[str, Any] = {
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }
    if samples == 3:
        told["PlanarConfiguration"] = 0
    if frames > 1:
        told["NumberOfFrames"] = frames
    return image(sop_class=US, modality="US", **(told | attributes))


def compressed(what: Dataset, syntax: str, frames: list[bytes], **attributes: Any) -> Dataset:
    """The object with these encoded frames."""
    what.file_meta.TransferSyntaxUID = syntax
    what.PixelData = encapsulate(frames)
    what["PixelData"].VR = "OB"
    for keyword, value in attributes.items():
        setattr(what, keyword, value)
    return what


def as_file(what: Dataset) -> bytes:
    """A Part 10 file."""
    written = io.BytesIO()
    what.file_meta.MediaStorageSOPClassUID, what.file_meta.MediaStorageSOPInstanceUID = (
        what.SOPClassUID,
        what.SOPInstanceUID,
    )
    syntax = what.file_meta.TransferSyntaxUID
    dcmwrite(
        written,
        what,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=True,
    )
    return written.getvalue()


def masked(file: bytes, found: SearchedPixels) -> FileDataset:
    """The object after its pixels were replaced, read back by another program."""
    parts = replace_pixels(file, found.pixel_data, found.changes).parts
    return pydicom.dcmread(io.BytesIO(b"".join(parts)))
