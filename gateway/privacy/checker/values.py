"""Which single values are harmless: nothing, a dummy, a pseudonymous UID, a date in form, a plain number.

The forms are the checker's own; a dummy counts only where it is one of the constants that say nothing.
PS3.5 table 6.2-1, PS3.15 E.1.1, RFC 9562 section 5.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.privacy.checker.read import Found

TEXTS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC"}) | {
    "UI",
    "UR",
    "UT",
}
_DUMMIES: Final = frozenset(
    {b"", b"REMOVED", b"19000101", b"19000101000000", b"000000", b"000Y", b"0", b"2.25.0"}
    | {b"urn:uuid:00000000-0000-0000-0000-000000000000"}
)
_DUMMY_WORDS: Final = frozenset({b"DXGATE", b"99DXGATE", b"CONTAINS", b"TEXT", b"121106", b"DCM", b"Comment"}) | {
    b"PIXEL",
    b"POINT",
    *(number.to_bytes(2, order) for number in (1, 2) for order in ("little", "big")),
    *(b"\1\0\0\0", b"\0\1\0\0"),
}
"""The words of dummy items: a code, a text, one point of a drawing, the first channels of a waveform."""
_WELL_KNOWN: Final = re.compile(rb"1\.2\.840\.10008(?:\.\d{1,20}){1,10}")
_KEYED: Final = re.compile(rb"2\.25\.([1-9]\d{0,38})")
_ANY_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_PSEUDONYM: Final = re.compile(rb"[0-9A-HJKMNP-TV-Z]{16}")
_NUMBER: Final = re.compile(rb"[0-9+\-.eE\\ ]*")
_DATE: Final = {
    "DA": re.compile(rb"(?:\d{4}(?:\.?\d\d){0,2}-?|-|\\)*(?:\d{4}(?:\.?\d\d){0,2})?"),
    "DT": re.compile(rb"[0-9.+\-\\ ]*"),
    "TM": re.compile(rb"(?:\d\d(?::?\d\d(?::?\d\d(?:\.\d{1,6})?)?)?[ \\-]*)*"),
}
_AGE: Final = re.compile(rb"(\d{3})([DWMY])")
_TELLING: Final = re.compile(
    r"@|://|www\.|[0-9]{6,}|\b(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}\b|\b\d{1,2}[-./]\d{1,2}[-./](?:19|20)?\d\d\b"
    r"|\b\d{3}[-. ]\d{3,4}[-. ]\d{3,4}\b",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"[\w.+-]@[\w-]+\.\w")
_OLDEST: Final = 90
_UUID_VERSION, _UUID_VARIANT = 8, 2


def stripped(found: Found) -> bytes:
    """The value without padding; a blank text is an empty one."""
    value = found.value or b""
    return value.strip(b" \0") if found.vr in TEXTS else value


def is_neutral(found: Found) -> bool:
    """Empty, or a dummy that says nothing."""
    if found.items is not None:
        return all(_is_dummy_item(item) for item in found.items[:2]) and len(found.items) <= 1
    value = stripped(found)
    return value in _DUMMIES or value.count(0) == len(value)


def _is_dummy_item(item: tuple[Found, ...]) -> bool:
    return all(
        is_neutral(one) if one.items is not None else is_neutral(one) or stripped(one) in _DUMMY_WORDS for one in item
    )


def is_pseudonymous_uid(value: bytes) -> bool:
    """Every value one of the standard's own UIDs, or 2.25 with a UUIDv8, as no modality makes them."""
    return all(_is_keyed(one.strip(b" \0")) for one in value.split(b"\\"))


def _is_keyed(value: bytes) -> bool:
    if not value or value in _DUMMIES or (len(value) <= 64 and _WELL_KNOWN.fullmatch(value)):
        return True
    found = _KEYED.fullmatch(value)
    if found is None:
        return False
    number = int(found[1])
    return number >> 128 == 0 and number >> 76 & 0xF == _UUID_VERSION and number >> 62 & 0x3 == _UUID_VARIANT


def is_uid(value: bytes) -> bool:
    """Digits and points, once or several times."""
    return all(not one.strip(b" \0") or _ANY_UID.fullmatch(one.strip(b" \0")) for one in value.split(b"\\"))


def is_pseudonym(value: bytes) -> bool:
    """Sixteen characters of Crockford's base 32."""
    return _PSEUDONYM.fullmatch(value) is not None


def is_number(value: bytes) -> bool:
    return _NUMBER.fullmatch(value) is not None


def is_date(vr: str, value: bytes) -> bool:
    """In the form of its VR: nothing but a date or a time."""
    form = _DATE.get(vr)
    return form is not None and len(value) <= 1024 and form.fullmatch(value) is not None


def is_capped_age(value: bytes) -> bool:
    found = _AGE.fullmatch(value)
    return found is not None and (found[2] != b"Y" or int(found[1]) <= _OLDEST)


def looks_identifying(text: str) -> bool:
    """A cleaned description with an address, a long number, a date or a telephone number."""
    return _TELLING.search(text) is not None


def holds_address(text: str) -> bool:
    """An e-mail address, which no technical text needs."""
    return _ADDRESS.search(text) is not None
