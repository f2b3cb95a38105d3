"""The file form of a data set: preamble, DICM, group 0002; always rebuilt, never carried over.

A received preamble can be a program (CVE-2019-11687) and a received group 0002 names the sender; ours says only
what a reader needs. PS3.10 section 7.1.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gateway.domain.errors import Invalid
from gateway.privacy.dataset import EXPLICIT, encode

IMPLEMENTATION_CLASS_UID: Final = "2.25.86589724723015816039790514675318032628"
IMPLEMENTATION_VERSION: Final = "DXGATE_0"
_PREAMBLE: Final = bytes(128) + b"DICM"
_GROUP_LENGTH: Final = Struct("<HH2sHI")


def file_header(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Everything before the data set in a Part 10 file."""
    meta = b"".join(
        (
            encode(0x00020001, "OB", b"\x00\x01", EXPLICIT),
            encode(0x00020002, "UI", sop_class.encode("ascii", "replace"), EXPLICIT),
            encode(0x00020003, "UI", sop_instance.encode("ascii", "replace"), EXPLICIT),
            encode(0x00020010, "UI", transfer_syntax.encode("ascii", "replace"), EXPLICIT),
            encode(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode(), EXPLICIT),
            encode(0x00020013, "SH", IMPLEMENTATION_VERSION.encode(), EXPLICIT),
        )
    )
    return _PREAMBLE + _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(meta)) + meta


def split(file: bytes | memoryview) -> tuple[str, memoryview]:
    """The transfer syntax and the data set of a file; group 0002 is read as PS3.10 lays it out."""
    view = memoryview(file)
    if len(view) < 144 or bytes(view[128:132]) != b"DICM":
        raise Invalid("not a DICOM file: no DICM after the preamble")
    group, number, vr, _, length = _GROUP_LENGTH.unpack_from(view, 132)
    if (group, number, vr) != (2, 0, b"UL") or 144 + length > len(view):
        raise Invalid("not a DICOM file: group 0002 has no sound length")
    at, end = 144, 144 + length
    while at + 8 <= end:
        group, number, vr, size = EXPLICIT.explicit.unpack_from(view, at)
        at += 8
        if vr in {b"OB", b"UN", b"SQ", b"UT", b"OW"}:
            if at + 4 > end:
                break
            size = EXPLICIT.long.unpack_from(view, at)[0]
            at += 4
        if group != 2 or at + size > end:
            break
        if number == 0x0010:
            return bytes(view[at : at + size]).decode("ascii", "replace").strip(" \0"), view[end:]
        at += size
    raise Invalid("not a DICOM file: group 0002 names no transfer syntax")
