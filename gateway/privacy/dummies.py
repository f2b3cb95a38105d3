"""Dummy values: what stands where PS3.15 asks for a value that says nothing (action D).

One value for each VR, constant, so that nothing can be learned from it; sequences get one coded item.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from gateway.privacy.dataset import Encoding, encode, encode_item

TEXT: Final = b"REMOVED"
_VALUES: Final = MappingProxyType(
    {
        "DA": b"19000101",
        "DT": b"19000101000000",
        "TM": b"000000",
        "AS": b"000Y",
        "IS": b"0",
        "DS": b"0",
        "UI": b"2.25.0",
        "UR": b"urn:uuid:00000000-0000-0000-0000-000000000000",
        "PN": TEXT,
        "AE": TEXT,
    }
    | dict.fromkeys(("CS", "SH", "LO", "ST", "LT", "UC", "UT"), TEXT)
    | dict.fromkeys(("OB", "OW", "UN", "US", "SS"), bytes(2))
    | dict.fromkeys(("AT", "FL", "SL", "UL", "OF", "OL"), bytes(4))
    | dict.fromkeys(("FD", "SV", "UV", "OD", "OV"), bytes(8))
)
_CONTENT: Final = 0x0040A730


def dummy(tag: int, vr: str, encoding: Encoding) -> bytes:
    """A whole element with the dummy value of its VR."""
    if vr != "SQ":
        return encode(tag, vr, _VALUES.get(vr, bytes(2)), encoding)
    item = _content_item(encoding) if tag == _CONTENT else code_item("DXGATE", "99DXGATE", "REMOVED", encoding)
    return encode(tag, "SQ", item, encoding)


def code_item(value: str, scheme: str, meaning: str, encoding: Encoding) -> bytes:
    """One item of a code sequence (PS3.3 section 8)."""
    fields = ((0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
    return encode_item(b"".join(encode(tag, vr, text.encode(), encoding) for tag, vr, text in fields), encoding)


def _content_item(encoding: Encoding) -> bytes:
    """A TEXT content item, which is valid where a bare code would not be (PS3.3 C.17.3)."""
    concept = encode(0x0040A043, "SQ", code_item("121106", "DCM", "Comment", encoding), encoding)
    parts = (
        encode(0x0040A010, "CS", b"CONTAINS", encoding),
        encode(0x0040A040, "CS", b"TEXT", encoding),
        concept,
        encode(0x0040A160, "UT", TEXT, encoding),
    )
    return encode_item(b"".join(parts), encoding)
