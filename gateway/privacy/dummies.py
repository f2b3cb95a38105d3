"""Dummy values: what stands where PS3.15 asks for a value that says nothing (action D).

One value for each VR, constant, so that nothing can be learned from it; sequences get one coded item.
"""

from __future__ import annotations

from collections.abc import Callable
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


def dummy(tag: int, vr: str, encoding: Encoding) -> bytes:
    """A whole element with the dummy value of its VR."""
    if vr != "SQ":
        return encode(tag, vr, _VALUES.get(vr, bytes(2)), encoding)
    item = _ITEMS.get(tag, _code)(encoding)
    return encode(tag, "SQ", item, encoding)


def code_item(value: str, scheme: str, meaning: str, encoding: Encoding) -> bytes:
    """One item of a code sequence (PS3.3 section 8)."""
    fields = ((0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
    return encode_item(b"".join(encode(tag, vr, text.encode(), encoding) for tag, vr, text in fields), encoding)


def _code(encoding: Encoding) -> bytes:
    return code_item("DXGATE", "99DXGATE", "REMOVED", encoding)


def content_item(relationship: bytes, encoding: Encoding) -> bytes:
    """A TEXT content item, which is valid where a bare code would not be (PS3.3 C.17.3)."""
    concept = encode(0x0040A043, "SQ", _code(encoding), encoding)
    parts = (
        encode(0x0040A010, "CS", relationship, encoding),
        encode(0x0040A040, "CS", b"TEXT", encoding),
        concept,
        encode(0x0040A160, "UT", TEXT, encoding),
    )
    return encode_item(b"".join(parts), encoding)


def _observer(encoding: Encoding) -> bytes:
    """A verifying observer (PS3.3 C.17.2)."""
    parts = (
        encode(0x0040A027, "LO", TEXT, encoding),
        encode(0x0040A030, "DT", _VALUES["DT"], encoding),
        encode(0x0040A075, "PN", TEXT, encoding),
        encode(0x0040A088, "SQ", b"", encoding),
    )
    return encode_item(b"".join(parts), encoding)


def _point(encoding: Encoding) -> bytes:
    """A graphic annotation of one point (PS3.3 C.10.5)."""
    graphic = (
        encode(0x00700005, "CS", b"PIXEL", encoding),
        encode(0x00700020, "US", encoding.short.pack(2), encoding),
        encode(0x00700021, "US", encoding.short.pack(1), encoding),
        encode(0x00700022, "FL", bytes(8), encoding),
        encode(0x00700023, "CS", b"POINT", encoding),
    )
    objects = encode(0x00700009, "SQ", encode_item(b"".join(graphic), encoding), encoding)
    return encode_item(encode(0x00700002, "CS", TEXT, encoding) + objects, encoding)


def _annotation(encoding: Encoding) -> bytes:
    """A waveform annotation of the whole first channel group (PS3.3 C.10.10)."""
    channels = encode(0x0040A0B0, "US", encoding.short.pack(1) + encoding.short.pack(0), encoding)
    return encode_item(channels + encode(0x00700006, "ST", TEXT, encoding), encoding)


_ITEMS: Final[dict[int, Callable[[Encoding], bytes]]] = {
    0x0040A730: lambda encoding: content_item(b"CONTAINS", encoding),
    0x0040A073: _observer,
    0x0040B020: _annotation,
    0x00700001: _point,
}
"""Sequences in which one coded item would not be valid."""
