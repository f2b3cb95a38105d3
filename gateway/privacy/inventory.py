"""Every distinct value of every attribute of an export with how often it occurs, for people to read through.

As TCIA's curators do: a machine has cleaned the headers, a person looks at what is left, once for each value
instead of once for each object. Cells cannot become formulas in a spreadsheet (CWE-1236).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from struct import Struct
from typing import Final

from pydicom.datadict import keyword_for_tag

from gateway.privacy.charset import DEFAULT, decode
from gateway.privacy.dataset import DataSet, Element, Encoding, parse
from gateway.privacy.identifiers import charset_of
from gateway.privacy.part10 import split

HEADER: Final = ("attribute", "tag", "vr", "value", "count")
MOST_VALUES: Final = 1000  # distinct ones of one attribute
MOST_ROWS: Final = 200_000
_LONGEST: Final = 120
_SHOWN_NUMBERS: Final = 16
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_BINARY: Final = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN", "AT", "SV", "UV", "OB or OW"})
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_FURTHER: Final = "(further values)"

Row = tuple[str, str, str]
"""Path of tags, VR, value."""


class Inventory:
    """Gathers the values of one object after the other."""

    def __init__(self) -> None:
        self._counts: Counter[Row] = Counter()
        self._distinct: Counter[str] = Counter()

    def add(self, file: bytes) -> None:
        """A Part 10 file."""
        transfer_syntax, body = split(file)
        data_set = parse(body, transfer_syntax)
        charset = charset_of(data_set, data_set.elements, DEFAULT)
        for row in _values(data_set, data_set.elements, data_set.encoding, charset, ""):
            self._count(row)

    def _count(self, row: Row) -> None:
        path, vr, _ = row
        if row not in self._counts:
            full = self._distinct[path] >= MOST_VALUES or len(self._counts) >= MOST_ROWS
            row = (path, vr, _FURTHER) if full else row
            self._distinct[path] += 1
        self._counts[row] += 1

    def to_csv(self) -> bytes:
        """Sorted by attribute, then by value; UTF-8, every cell quoted."""
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(HEADER)
        for (path, vr, value), count in sorted(self._counts.items()):
            writer.writerow((_keywords(path), path, vr, cell(value), count))
        return text.getvalue().encode("utf-8", "replace")


def cell(value: str) -> str:
    """A value as a spreadsheet may show it: clipped, without control characters, never a formula."""
    plain = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in value[: _LONGEST + 1])
    clipped = plain if len(value) <= _LONGEST else plain[:_LONGEST] + "…"
    is_formula = clipped.lstrip().startswith(_FORMULA) and not _NUMBER.fullmatch(clipped.strip())
    return "'" + clipped if is_formula else clipped


def _values(
    data_set: DataSet, elements: list[Element], encoding: Encoding, charset: tuple[str, ...], above: str
) -> Iterator[Row]:
    for element in elements:
        path = f"{above}({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})"
        if element.sequence is None:
            yield path, element.vr, _shown(data_set, element, encoding, charset)
            continue
        for item in element.sequence.items:
            inner = charset_of(data_set, item.elements, charset)
            yield from _values(data_set, item.elements, element.sequence.encoding, inner, path + "/")


def _shown(data_set: DataSet, element: Element, encoding: Encoding, charset: tuple[str, ...]) -> str:
    """Text as it reads, numbers as numbers; samples, tables and our own UIDs by what they are."""
    raw = bytes(data_set.source[element.value : min(element.end, element.value + 4 * _LONGEST)])
    if element.vr in _NUMBERS:
        return _numbers(raw, Struct((">" if encoding.big else "<") + _NUMBERS[element.vr]))
    if element.vr in _BINARY:
        return "(binary)" if raw else ""
    text = decode(raw, charset)
    return "(pseudonymous UID)" if element.vr == "UI" and text.startswith("2.25.") else text


def _numbers(raw: bytes, form: Struct) -> str:
    found = [str(number) for (number,) in form.iter_unpack(raw[: len(raw) // form.size * form.size])]
    return "\\".join(found[:_SHOWN_NUMBERS]) + ("\\…" if len(found) > _SHOWN_NUMBERS else "")


def _keywords(path: str) -> str:
    tags = [int(part[1:5] + part[6:10], 16) for part in path.split("/")]
    return "/".join(keyword_for_tag(tag) or "?" for tag in tags)
