"""What an encoded frame says of its own size, read before a codec allocates it.

A codec believes the codestream, not the DICOM header: a hundred bytes that announce 60000 by 60000 samples take
gigabytes. ISO/IEC 15444-1 A.5.1 (SIZ), ISO/IEC 10918-1 B.2.2 (SOF), ISO/IEC 14495-1 C.2.2 (SOF of JPEG-LS).
"""

from __future__ import annotations

from struct import Struct

_SOC_SIZ = b"\xff\x4f\xff\x51"
_SOI = b"\xff\xd8"
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # tables and extensions are no frames
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # without a length
_START_OF_SCAN = 0xDA
_SIZ = Struct(">4I")  # Xsiz, Ysiz, XOsiz, YOsiz
_SHORT = Struct(">H")


def announced_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that the codestream announces; None where it is no JPEG family stream or is cut."""
    place = frame.find(_SOC_SIZ)  # not always at the start: some writers keep the JP2 boxes around it
    if place >= 0:
        if len(frame) < place + 24:
            return None
        right, bottom, left, top = _SIZ.unpack_from(frame, place + 8)
        return bottom - top, right - left
    return _jpeg_size(frame) if frame.startswith(_SOI) else None


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_MARKERS:
            return _SHORT.unpack_from(frame, at + 5)[0], _SHORT.unpack_from(frame, at + 7)[0]
        if marker == _START_OF_SCAN:
            return None
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 if marker in _STANDALONE else 2 + _SHORT.unpack_from(frame, at + 2)[0]
    return None
