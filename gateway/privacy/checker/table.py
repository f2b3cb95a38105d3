"""Table E.1-1 read a second time: what may be found of each listed attribute under the methods an object claims.

The engine's reading says what to do; this one says what is allowed to be there afterwards. Both read the same
published table and nothing else in common. PS3.15 E.1.1, E.2, E.3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, auto
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydicom.datadict import DicomDictionary

_FILE: Final = Path(__file__).parent.parent / "data" / "ps315_2026d.json"
_DATES: Final = frozenset({"DA", "DT", "TM"})
_TEXT: Final = frozenset({"CS", "LO", "SH", "ST", "LT", "UC", "UT"})
METHOD_OF: Final = MappingProxyType(
    {
        "clean_graphics": "113103",
        "clean_structured_content": "113104",
        "clean_descriptors": "113105",
        "retain_longitudinal_full_dates": "113106",
        "retain_longitudinal_modified_dates": "113107",
        "retain_patient_characteristics": "113108",
        "retain_device_identity": "113109",
        "retain_uids": "113110",
        "retain_safe_private": "113111",
        "retain_institution_identity": "113112",
    }
)
"""Option column -> its code in CID 7050."""
FULL_DATES: Final = "113106"
MODIFIED_DATES: Final = "113107"
RETAIN_UIDS: Final = "113110"

_LATER: Final = (
    dict.fromkeys((0x00081301, 0x00081302, 0x00081303, 0x00081304, 0x00100011, 0x00100014, 0x00100015), "SQ")
    | dict.fromkeys((0x00100041, 0x00100043, 0x00100044, 0x00100046), "SQ")
    | dict.fromkeys((0x00100012, 0x00100013, 0x00100016, 0x00100042, 0x00100045), "LT")
    | dict.fromkeys((0x0040A034, 0x0040A035, 0x0040B034, 0x0040B036), "DT")
    | {0x00100047: "UR", 0x0040E012: "UR", 0x00102162: "UC", 0x0040B03B: "LO", 0x0040B03F: "SH", 0x3004007F: "LO"}
)
"""Attributes of the table that are newer than pydicom 3.0.2's dictionary."""

VRS: Final = MappingProxyType(
    {tag: frozenset([entry[0], *entry[0].split(" or ")]) for tag, entry in DicomDictionary.items()}
    | {tag: frozenset([vr]) for tag, vr in _LATER.items()}
)
"""tag -> the VRs that PS3.6 gives it."""


class Allowed(Enum):
    """What may stand in an attribute; an empty or a dummy value may, too, except under ABSENT."""

    ABSENT = auto()
    NEUTRAL = auto()  # empty or dummy and nothing else
    UID = auto()  # a pseudonymous UID
    DATE = auto()  # a date or time, as the options for dates allow
    KEPT = auto()  # what its VR allows
    CLEANED = auto()  # a description without anything that looks like identity
    ITEMS = auto()  # a sequence whose items are looked at element by element
    PATIENT = auto()  # the patient's pseudonym
    ACCESSION = auto()  # a pseudonymous accession number


_OWN: Final = MappingProxyType(
    {0x00100010: Allowed.PATIENT, 0x00100020: Allowed.PATIENT, 0x00080050: Allowed.ACCESSION}
)
_STAMPS: Final = (0x00120062, 0x00120063, 0x00120064, 0x00280303)


@cache
def allowed(methods: frozenset[str]) -> Mapping[int, Allowed]:
    """What is allowed in every listed attribute, at any depth; stamps are only for the root and stand as ABSENT."""
    rows = json.loads(_FILE.read_bytes())["rules"]
    listed = {int(row["tag"], 16): _of_row(row, methods) for row in rows if _is_exact(row["tag"])}
    return MappingProxyType(listed | _OWN | dict.fromkeys(_STAMPS, Allowed.ABSENT))


def _is_exact(tag: str) -> bool:
    return len(tag) == 8 and all(char in "0123456789ABCDEF" for char in tag)


def _of_row(row: Mapping[str, object], methods: frozenset[str]) -> Allowed:
    options = row["options"]
    assert isinstance(options, dict)  # noqa: S101 - the file's hash is pinned by a test
    claimed = {key: code for key, code in options.items() if METHOD_OF[key] in methods}
    vrs = VRS.get(int(str(row["tag"]), 16), frozenset())
    basic = _basic(str(row["basic"]))
    if "retain_longitudinal_modified_dates" in claimed:  # before every K, for the rows that have both
        return Allowed.DATE if vrs & _DATES else basic
    if "K" in claimed.values():
        return _kept(vrs)
    if vrs == {"SQ"} and "clean_structured_content" in claimed:
        return Allowed.ITEMS
    if "C" in claimed.values() and vrs & _TEXT:
        return Allowed.CLEANED
    return basic


def _basic(code: str) -> Allowed:
    if code == "X":
        return Allowed.ABSENT
    if code == "X/Z/U*":
        return Allowed.ITEMS
    return Allowed.UID if "U" in code.split("/") else Allowed.NEUTRAL


def _kept(vrs: frozenset[str]) -> Allowed:
    if vrs & _DATES:
        return Allowed.DATE
    return Allowed.ITEMS if "SQ" in vrs else Allowed.KEPT
