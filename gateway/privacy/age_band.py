"""Ages as bands of years, written into the object itself: what a group is counted by is what the recipient gets.

A band is written as its lowest age (`040Y` for 40 to 44, or 40 to 49), so that Patient's Age stays a valid AS
(PS3.5 6.2) of the same length and nothing else in the object moves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.privacy.dataset import DEFAULT_LIMITS, DEFLATED_SYNTAXES, Element, deflate, inflate, parse

_PATIENT_AGE: Final = 0x00101010
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_IN_A_YEAR: Final = {"D": 365, "W": 52, "M": 12, "Y": 1}
_EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"


def band(age: str, years: int) -> str:
    """The band of an age: its lowest age as AS; empty where the age is none."""
    found = _AGE.fullmatch(age.strip(" \0"))
    if found is None:
        return ""
    lowest = int(found[1]) // _IN_A_YEAR[found[2]] // years * years
    return f"{lowest:03d}Y"


def with_banded_ages(data_set: bytes | memoryview, transfer_syntax: str, years: int) -> bytes | bytearray:
    """The data set (without group 0002) with every Patient's Age, at every depth, replaced by its band."""
    deflated = transfer_syntax in DEFLATED_SYNTAXES
    source = bytearray(inflate(data_set, DEFAULT_LIMITS.inflated) if deflated else data_set)
    parsed = parse(bytes(source), _EXPLICIT_LITTLE if deflated else transfer_syntax)
    for element in _ages(parsed.elements):
        length = element.end - element.value
        written = band(source[element.value : element.end].decode("latin-1"), years)
        source[element.value : element.end] = written.encode().ljust(length)[:length]
    return deflate([bytes(source)]) if deflated else source


def _ages(elements: list[Element]) -> Iterator[Element]:
    for element in elements:
        if element.sequence is not None:
            for item in element.sequence.items:
                yield from _ages(item.elements)
        elif element.tag == _PATIENT_AGE:
            yield element
