"""One encoded frame to its pixel values: which transfer syntaxes can be decoded, why others cannot, and by whom.

A frame travels with the few attributes that a codec needs and nothing else, so that it can be decoded in another
process (`decode_pool`). PS3.5 8.2 and A.4 (encapsulated transfer syntaxes), PS3.3 C.7.6.3 (image pixel).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import pixel_array

from gateway.domain.errors import GatewayError, Invalid, Unsupported
from models.runtime.codestream import announced_size

Values = npt.NDArray[Any]
NATIVE: Final = {
    "1.2.840.10008.1.2": "Implicit VR Little Endian",
    "1.2.840.10008.1.2.1": "Explicit VR Little Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
}
ENCODED: Final = {
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless, Process 14",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless, Process 14, Selection Value 1",
    "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS Near-Lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
    "1.2.840.10008.1.2.4.202": "High-Throughput JPEG 2000 Lossless, RPCL",
    "1.2.840.10008.1.2.4.203": "High-Throughput JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE Lossless",
}
_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_VIDEO: Final = "it is video, of which no single frame can be decoded by itself"
_ELSEWHERE: Final = "its pixels lie on a JPIP server, where the gateway does not fetch anything"
_PART_2: Final = "components of JPEG 2000 Part 2 are not decoded by any codec here"
_REFUSED: Final = {  # PS3.6 table A-1
    **{f"1.2.840.10008.1.2.4.{number}": _VIDEO for number in range(100, 109)},
    **{f"1.2.840.10008.1.2.4.{number}.1": _VIDEO for number in range(100, 107)},  # fragmentable
    **{f"1.2.840.10008.1.2.7.{number}": "it is video over SMPTE ST 2110" for number in (1, 2, 3)},
    **{f"1.2.840.10008.1.2.4.{number}": _ELSEWHERE for number in (94, 95, 204, 205)},
    **{f"1.2.840.10008.1.2.4.{number}": _PART_2 for number in (92, 93)},
    **{f"1.2.840.10008.1.2.4.{number}": "no codec for JPEG XL is installed" for number in (110, 111, 112)},
    "1.2.840.10008.1.2.8.1": "frames that are deflated one by one are not decoded by any codec here",
}


@dataclass(frozen=True)
class Coded:
    """An encoded frame and what a codec has to know of its header."""

    syntax: str
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: int
    photometric: str
    planar: int
    frame: bytes = field(repr=False)

    @property
    def most(self) -> int:
        """Bytes that the decoded frame may take."""
        return self.rows * self.columns * self.samples * 4


Decode = Callable[[Coded], Values]


def refusal(syntax: str) -> str | None:
    """Why pixels in this transfer syntax are not decoded; None where they are."""
    if syntax in NATIVE or syntax in ENCODED:
        return None
    return _REFUSED.get(syntax, "the transfer syntax is retired, private or unknown")


def decoded(dataset: FileDataset, index: int, frames: int, decode: Decode) -> Values:
    """One frame, (rows, columns) or (rows, columns, 3), YBR as RGB. Unsupported, or Invalid for what is not sound."""
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    why = refusal(syntax)
    if why is not None:
        raise Unsupported(f"pixel data cannot be decoded: {why}")
    try:
        if syntax in NATIVE:
            return np.asarray(pixel_array(dataset, index=index))
        coded = coded_frame(dataset, syntax, bytes(get_frame(dataset.PixelData, index, number_of_frames=frames)))
    except Exception as error:  # the parser raises whatever a hostile file provokes
        raise Invalid(f"pixel data cannot be decoded ({type(error).__name__})") from error
    return decode(checked(coded))


def checked(coded: Coded) -> Coded:
    """Invalid where the codestream would be decoded to other rows and columns than the header's."""
    announced = announced_size(coded.frame)
    if announced is not None and announced != (coded.rows, coded.columns):
        raise Invalid("the codestream's rows and columns differ from the header")
    return coded


def decode_here(coded: Coded) -> Values:
    """In this process; Invalid for what the codec does not take. A codec that crashes takes the process with it."""
    if coded.syntax == _EXTENDED and coded.stored > 8:
        return _twelve_bits(coded)
    try:
        values, _ = get_decoder(coded.syntax).as_array(
            encapsulate([coded.frame]),
            index=0,
            raw=False,
            number_of_frames=1,
            rows=coded.rows,
            columns=coded.columns,
            samples_per_pixel=coded.samples,
            bits_allocated=coded.allocated,
            bits_stored=coded.stored,
            pixel_representation=coded.signed,
            photometric_interpretation=coded.photometric,
            planar_configuration=coded.planar,
            pixel_keyword="PixelData",
        )
    except GatewayError:
        raise
    except Exception as error:  # a codec raises whatever a hostile stream provokes
        raise Invalid(f"pixel data cannot be decoded ({type(error).__name__})") from error
    return np.asarray(values)


def _twelve_bits(coded: Coded) -> Values:
    """JPEG Extended with samples of 12 bits, by libjpeg-turbo; neither GDCM nor Pillow has it (ISO/IEC 10918-1)."""
    try:
        from imagecodecs import jpeg8_decode
    except ImportError:
        raise Unsupported("pixel data cannot be decoded: 12-bit JPEG needs the extra `jpeg12`") from None
    try:
        values = np.asarray(jpeg8_decode(coded.frame))
    except Exception as error:  # a codec raises whatever a hostile stream provokes
        raise Invalid(f"pixel data cannot be decoded ({type(error).__name__})") from error
    if values.shape != (coded.rows, coded.columns) or values.dtype != np.uint16 or coded.signed:
        raise Unsupported("pixel data cannot be decoded: 12-bit JPEG is taken with one unsigned sample only")
    return values


def coded_frame(dataset: FileDataset, syntax: str, frame: bytes) -> Coded:
    allocated = int(dataset.BitsAllocated)
    return Coded(
        syntax=syntax,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        allocated=allocated,
        stored=int(dataset.get("BitsStored") or allocated),
        signed=int(dataset.get("PixelRepresentation") or 0),
        photometric=str(dataset.PhotometricInterpretation),
        planar=int(dataset.get("PlanarConfiguration") or 0),
        frame=frame,
    )


def header(coded: Coded) -> Mapping[str, Any]:
    """All but the frame, JSON-ready."""
    return {name: getattr(coded, name) for name in Coded.__dataclass_fields__ if name != "frame"}
