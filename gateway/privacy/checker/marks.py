"""What surrounds the data elements: preamble, group 0002, and the stamps by which an object tells what was done.

PS3.10 section 7.1; PS3.15 E.1.1 items 6 and 7; PS3.3 C.7.1.1 and C.7.6.1; CID 7050.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import BinaryIO, Final

from pydicom.filereader import data_element_generator

from gateway.privacy.checker.read import Found, Unreadable
from gateway.privacy.checker.table import FULL_DATES, MODIFIED_DATES
from gateway.privacy.checker.values import stripped
from gateway.privacy.checker.verdict import Claim, Problem

REMOVED, METHOD, CODES, TEMPORAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303
BURNED_IN, FACES = 0x00280301, 0x00280302
STAMPS: Final = frozenset({REMOVED, METHOD, CODES, TEMPORAL})
MEANINGS: Final = MappingProxyType(
    {
        "113100": "Basic Application Confidentiality Profile",
        "113101": "Clean Pixel Data Option",
        "113102": "Clean Recognizable Visual Features Option",
        "113103": "Clean Graphics Option",
        "113104": "Clean Structured Content Option",
        "113105": "Clean Descriptors Option",
        "113106": "Retain Longitudinal Temporal Information Full Dates Option",
        "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
        "113108": "Retain Patient Characteristics Option",
        "113109": "Retain Device Identity Option",
        "113110": "Retain UIDs Option",
        "113111": "Retain Safe Private Option",
        "113112": "Retain Institution Identity Option",
    }
)
_OURS: Final = re.compile(r"dxgate PS3\.15 \d{4}[a-e] [a-z_-]{1,48}")
_META: Final = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
_IMPLEMENTATION: Final = re.compile(rb"2\.25\.\d{1,39}")
_VERSION: Final = re.compile(rb"DXGATE_[0-9]{1,8}")
_LONGEST_META: Final = 1024
_STRONGER: Final = ("UNMODIFIED", "MODIFIED", "REMOVED")
_FILE: Final = "file"


def read_meta(file: BinaryIO, claim: Claim) -> tuple[list[Problem], str]:
    """What is wrong before the data set, and the transfer syntax; the file then stands at the data set."""
    problems = []
    head = file.read(144)
    if len(head) < 144 or head[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
        raise Unreadable("no DICOM file")
    if any(head[:128]):
        problems.append(Problem("preamble", _FILE))
    length = int.from_bytes(head[140:144], "little")
    if length > _LONGEST_META:
        raise Unreadable("the file meta information is too long")
    end = 144 + length
    found: dict[int, bytes] = {}
    for raw in data_element_generator(file, False, True, lambda tag, vr, length: file.tell() > end):
        found[int(raw.tag)] = bytes(raw.value or b"").strip(b" \0")
        if file.tell() >= end:
            break
    if file.tell() != end:
        raise Unreadable("the file meta information has no sound length")
    wanted = {
        0x00020002: claim.sop_class_uid,
        0x00020003: claim.sop_instance_uid,
        0x00020010: claim.transfer_syntax_uid,
    }
    wrong = [tag for tag in found if tag not in _META]
    wrong += [tag for tag, value in wanted.items() if found.get(tag) != value.encode()]
    wrong += [] if _IMPLEMENTATION.fullmatch(found.get(0x00020012, b"")) else [0x00020012]
    wrong += [] if _VERSION.fullmatch(found.get(0x00020013, b"")) else [0x00020013]
    problems += [Problem("file-meta", f"({tag >> 16:04X},{tag & 0xFFFF:04X})") for tag in wrong]
    return problems, found.get(0x00020010, b"").decode("ascii", "replace")


def check_stamps(root: Mapping[int, Found], claim: Claim) -> Iterator[Problem]:
    """The four stamps against the claim, and what is said of burned-in text and faces against the methods."""
    if REMOVED not in root or stripped(root[REMOVED]) != b"YES":
        yield _missing(REMOVED)
    if METHOD not in root or not any(map(is_our_method, _values(root[METHOD]))):
        yield _missing(METHOD)
    codes = coded_methods(root.get(CODES))
    if codes is None or not claim.methods <= set(codes):
        yield _missing(CODES)
    if _temporal(root.get(TEMPORAL)) < _STRONGER.index(_expected_temporal(claim.methods)):
        yield _missing(TEMPORAL)
    for tag, code in ((BURNED_IN, "113101"), (FACES, "113102")):
        if code in (codes or ()) and tag in root and stripped(root[tag]).upper() == b"YES":
            yield Problem("stamp-contradicts", root[tag].path)


def coded_methods(sequence: Found | None) -> list[str] | None:
    """The codes of the De-identification Method Code Sequence; None where it holds anything but CID 7050."""
    codes = []
    for item in (sequence.items or ()) if sequence is not None else ():
        coded = {one.tag: one.text() for one in item if one.items is None}
        code = coded.get(0x00080100, "")
        if coded != {0x00080100: code, 0x00080102: "DCM", 0x00080104: MEANINGS.get(code)} or len(coded) != len(item):
            return None
        codes.append(code)
    return codes


def is_our_method(text: str) -> bool:
    """The sentence by which the gateway names profile and edition."""
    return _OURS.fullmatch(text) is not None


def _values(found: Found) -> Sequence[str]:
    return [value.strip() for value in found.text().split("\\")]


def _temporal(found: Found | None) -> int:
    value = "" if found is None else found.text()
    return _STRONGER.index(value) if value in _STRONGER else -1


def _expected_temporal(methods: frozenset[str]) -> str:
    if FULL_DATES in methods:
        return "UNMODIFIED"
    return "MODIFIED" if MODIFIED_DATES in methods else "REMOVED"


def _missing(tag: int) -> Problem:
    return Problem("stamp", f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
