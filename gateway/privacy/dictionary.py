"""The VR of every public attribute: what Implicit VR leaves out and an explicit VR is checked against.

PS3.6 as in pydicom's table (data/attribute_vrs.json, made by deploy/tools/attribute_vrs.py), plus the attributes
of PS3.15 2026d that pydicom 3.0.2 does not know yet.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

LATER_ATTRIBUTES = {
    0x00081301: "SQ",
    0x00081302: "SQ",
    0x00081303: "SQ",
    0x00081304: "SQ",
    0x00100011: "SQ",
    0x00100012: "LT",
    0x00100013: "LT",
    0x00100014: "SQ",
    0x00100015: "SQ",
    0x00100016: "LT",
    0x00100041: "SQ",
    0x00100042: "LT",
    0x00100043: "SQ",
    0x00100044: "SQ",
    0x00100045: "LT",
    0x00100046: "SQ",
    0x00100047: "UR",
    0x00102162: "UC",
    0x0040A034: "DT",
    0x0040A035: "DT",
    0x0040B034: "DT",
    0x0040B036: "DT",
    0x0040B03B: "LO",
    0x0040B03F: "SH",
    0x0040E012: "UR",
    0x3004007F: "LO",
}
"""Attributes newer than the table, all removed by the Basic Profile; sequences matter for parsing."""

_TAGS_BY_VR: dict[str, list[str]] = json.loads((Path(__file__).parent / "data" / "attribute_vrs.json").read_bytes())
VR_OF = MappingProxyType(LATER_ATTRIBUTES | {int(tag, 16): vr for vr, tags in _TAGS_BY_VR.items() for tag in tags})
"""tag -> VR, or "US or SS" and the like where PS3.6 gives several."""

CHOICES = MappingProxyType({tag: frozenset([vr, *vr.split(" or ")]) for tag, vr in VR_OF.items()})
"""tag -> the VRs that an explicit encoding may name, and the one that Implicit VR stands for."""

SHORT_VRS = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO"}
    | {"LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"}
)
"""Explicit VRs with a 16-bit length (PS3.5 table 7.1-2)."""

LONG_VRS = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
"""Explicit VRs with two reserved bytes and a 32-bit length (PS3.5 table 7.1-1)."""


def writable_vr(tag: int) -> str:
    """The one VR to write for an attribute that PS3.6 gives one or several VRs; UN when unknown."""
    return VR_OF.get(tag, "UN").split(" or ", maxsplit=1)[0]
