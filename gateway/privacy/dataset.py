"""A DICOM data set as spans over the received bytes: where each element lies, nothing decoded or copied.

De-identification touches a few hundred bytes of half a megabyte; finding them is all the parsing it needs.
PS3.5 section 7 (data sets), annex A (transfer syntaxes). Every depth, count and length is bounded, and what
does not add up is `Invalid` with its tag and offset, never a shorter data set.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from gateway.domain.errors import Invalid
from gateway.privacy.dictionary import LONG_VRS, SHORT_VRS, VR_OF

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
_DELIMITERS = 0xFFFE0000

_SHORT = {vr.encode(): vr for vr in SHORT_VRS}
_LONG = {vr.encode(): vr for vr in LONG_VRS}
_FRAGMENT_VRS = frozenset({"OB", "OW", "OB or OW"})

DEFLATED_SYNTAXES = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
IMPLICIT_SYNTAXES = frozenset({"1.2.840.10008.1.2", "1.2.840.113619.5.2"})
"""The default syntax, and GE's private one, whose data set is implicit too."""
BIG_ENDIAN_SYNTAX = "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class Encoding:
    """How elements are laid out: implicit or explicit VR, and the byte order."""

    implicit: bool
    big: bool
    words: Struct
    long: Struct
    short: Struct
    explicit: Struct


def _encoding(implicit: bool, big: bool) -> Encoding:
    order = ">" if big else "<"
    shapes = ("HHI", "I", "H", "HH2sH")
    return Encoding(implicit, big, *(Struct(order + shape) for shape in shapes))


IMPLICIT = _encoding(implicit=True, big=False)
EXPLICIT = _encoding(implicit=False, big=False)
EXPLICIT_BIG = _encoding(implicit=False, big=True)


@dataclass(frozen=True)
class Limits:
    """What one data set may cost to read."""

    depth: int = 64
    elements: int = 1_000_000
    items: int = 250_000
    inflated: int = 1 << 28


DEFAULT_LIMITS = Limits()


class Element(NamedTuple):
    """One element: `start` of its header, `value` of its content, `end` after it (and its delimiter)."""

    tag: int
    vr: str
    start: int
    value: int
    end: int
    sequence: Sequence | None


class Item(NamedTuple):
    """One item of a sequence; `length_at` is where its 32-bit length stands, -1 when undefined."""

    start: int
    length_at: int
    value: int
    end: int
    elements: list[Element]


class Sequence(NamedTuple):
    """The items of a sequence and how they are encoded (UN of undefined length holds implicit VR)."""

    items: list[Item]
    length_at: int
    encoding: Encoding


@dataclass(frozen=True)
class DataSet:
    """A parsed data set: its inflated bytes, their encoding, its elements in order of tag."""

    source: memoryview
    encoding: Encoding
    elements: list[Element]

    def value(self, element: Element) -> memoryview:
        """The raw value of an element, without a copy."""
        return self.source[element.value : element.end]


def encoding_of(transfer_syntax: str) -> Encoding:
    """The layout that a transfer syntax prescribes; all but three are Explicit VR Little Endian."""
    if transfer_syntax in IMPLICIT_SYNTAXES:
        return IMPLICIT
    return EXPLICIT_BIG if transfer_syntax == BIG_ENDIAN_SYNTAX else EXPLICIT


def parse(data: bytes | bytearray | memoryview, transfer_syntax: str, limits: Limits = DEFAULT_LIMITS) -> DataSet:
    """The data set in `data`; raises Invalid with tag and offset where it breaks PS3.5 or a limit."""
    if transfer_syntax in DEFLATED_SYNTAXES:
        data = inflate(data, limits.inflated)
    source = memoryview(data).cast("B")
    encoding = encoding_of(transfer_syntax)
    elements, _ = _Parser(source, limits).level(0, len(source), 0, encoding, delimited=False)
    return DataSet(source, encoding, elements)


def inflate(data: bytes | bytearray | memoryview, limit: int) -> bytes:
    """The raw-deflate stream of a deflated transfer syntax, at most `limit` bytes of it (PS3.5 A.5)."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, limit)
    except zlib.error as error:
        raise Invalid("the deflated data set is not a deflate stream") from error
    if not stream.eof:
        cause = f"inflates past {limit} bytes" if stream.unconsumed_tail else "ends early"
        raise Invalid(f"the deflated data set {cause}")
    after, trailer = stream.unused_data, Struct("<II")
    if after.rstrip(b"\0") and after != trailer.pack(zlib.crc32(inflated), len(inflated) & 0xFFFFFFFF):
        raise Invalid("bytes follow the deflated data set")  # some writers end with gzip's trailer
    return inflated


def deflate(parts: list[bytes | memoryview]) -> bytes:
    """The parts as one raw-deflate stream, padded to an even length."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join([*(stream.compress(part) for part in parts), stream.flush()])
    return packed + b"\0" * (len(packed) & 1)


class _Parser:
    """One pass over one data set, with what is left of its limits."""

    __slots__ = ("_elements_left", "_items_left", "_limits", "_source")

    def __init__(self, source: memoryview, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._elements_left = limits.elements
        self._items_left = limits.items

    def level(
        self, pos: int, end: int, depth: int, encoding: Encoding, *, delimited: bool
    ) -> tuple[list[Element], int]:
        """The elements from `pos` up to `end`, or up to the item delimiter; and where reading stopped."""
        elements: list[Element] = []
        header: Callable[[int, int, Encoding], tuple[int, str, int, int]]
        header = self._implicit if encoding.implicit else self._explicit
        last = 0x0002FFFF  # command and file meta groups have no place in a data set
        while pos < end:
            if not encoding.implicit:
                pos = self._short_forms(elements, pos, end, last, encoding)
                if pos == end:
                    break
                last = elements[-1].tag if elements else last
            tag, vr, length, value = header(pos, end, encoding)
            if not last < tag < _DELIMITERS:
                if delimited and tag == ITEM_END and encoding.long.unpack_from(self._source, pos + 4) == (0,):
                    return elements, pos + 8
                raise _invalid("stands out of order or where it may not", tag, pos)
            if length == UNDEFINED or vr == "SQ":
                element = self._nested((tag, vr, pos, value), length, end, depth, encoding)
            elif value + length > end:
                raise _invalid("is longer than what holds it", tag, pos)
            else:
                element = Element(tag, vr, pos, value, value + length, None)
            elements.append(element)
            last, pos = tag, element.end
            self._elements_left -= 1
            if self._elements_left < 0:
                raise _invalid(f"exceeds the limit of {self._limits.elements} elements", tag, pos)
        if delimited:
            raise _invalid("has no delimiter", ITEM, pos)
        return elements, pos

    def _short_forms(self, elements: list[Element], pos: int, end: int, last: int, encoding: Encoding) -> int:
        """Reads the elements of explicit short form that stand here, as most do; where it met anything else."""
        unpack, source, element = encoding.explicit.unpack_from, self._source, tuple.__new__
        before = len(elements)
        for _ in range(self._elements_left):  # one past the limit is left to `level`
            if pos + 8 > end:
                break
            group, number, code, length = unpack(source, pos)
            tag, vr, value = group << 16 | number, _SHORT.get(code), pos + 8
            if vr is None or not last < tag < _DELIMITERS or value + length > end:
                break
            elements.append(element(Element, (tag, vr, pos, value, value + length, None)))
            last, pos = tag, value + length
        self._elements_left -= len(elements) - before
        return pos

    def _implicit(self, pos: int, end: int, encoding: Encoding) -> tuple[int, str, int, int]:
        if pos + 8 > end:
            raise _invalid("a cut element header", 0, pos)
        group, number, length = encoding.words.unpack_from(self._source, pos)
        tag = group << 16 | number
        return tag, VR_OF.get(tag, "UN"), length, pos + 8

    def _explicit(self, pos: int, end: int, encoding: Encoding) -> tuple[int, str, int, int]:
        if pos + 8 > end:
            raise _invalid("a cut element header", 0, pos)
        group, number, code, length = encoding.explicit.unpack_from(self._source, pos)
        tag = group << 16 | number
        vr = _SHORT.get(code)
        if vr is not None:
            return tag, vr, length, pos + 8
        vr = _LONG.get(code)
        if vr is None:
            if tag >= _DELIMITERS:
                return tag, "", 0, pos + 8
            raise _invalid("has no VR of PS3.5", tag, pos)
        if pos + 12 > end:
            raise _invalid("has a cut header", tag, pos)
        return tag, vr, encoding.long.unpack_from(self._source, pos + 8)[0], pos + 12

    def _nested(
        self, head: tuple[int, str, int, int], length: int, end: int, depth: int, encoding: Encoding
    ) -> Element:
        """A sequence, or encapsulated fragments: whatever has items inside."""
        tag, vr, start, value = head
        if vr in _FRAGMENT_VRS:
            return Element(tag, vr, start, value, self._fragments(tag, value, end, encoding), None)
        if vr not in {"SQ", "UN"}:
            raise _invalid("has a VR that cannot be of undefined length", tag, start)
        if length != UNDEFINED and value + length > end:
            raise _invalid("is longer than what holds it", tag, start)
        inside = IMPLICIT if vr == "UN" else encoding
        stop = end if length == UNDEFINED else value + length
        items, after = self._items(tag, value, stop, depth + 1, inside, delimited=length == UNDEFINED)
        length_at = -1 if length == UNDEFINED else value - 4
        return Element(tag, "SQ", start, value, after, Sequence(items, length_at, inside))

    def _items(
        self, tag: int, pos: int, end: int, depth: int, encoding: Encoding, *, delimited: bool
    ) -> tuple[list[Item], int]:
        if depth > self._limits.depth:
            raise _invalid(f"is nested deeper than {self._limits.depth}", tag, pos)
        items: list[Item] = []
        while pos < end:
            mark, length, value = self._mark(tag, pos, end, encoding)
            if mark == SEQUENCE_END and delimited and length == 0:
                return items, value
            if mark != ITEM:
                raise _invalid("holds something that is not an item", tag, pos)
            self._items_left -= 1
            if self._items_left < 0:
                raise _invalid(f"exceeds the limit of {self._limits.items} items", tag, pos)
            open_ended = length == UNDEFINED
            if not open_ended and value + length > end:
                raise _invalid("has an item longer than itself", tag, pos)
            stop = end if open_ended else value + length
            elements, after = self.level(value, stop, depth, encoding, delimited=open_ended)
            items.append(Item(pos, -1 if open_ended else pos + 4, value, after, elements))
            pos = after
        if delimited:
            raise _invalid("has no sequence delimiter", tag, pos)
        return items, pos

    def _fragments(self, tag: int, pos: int, end: int, encoding: Encoding) -> int:
        """Where the encapsulated fragments end, their delimiter included (PS3.5 A.4)."""
        while pos < end:
            mark, length, value = self._mark(tag, pos, end, encoding)
            if mark == SEQUENCE_END and length == 0:
                return value
            if mark != ITEM or value + length > end:
                raise _invalid("has a broken fragment", tag, pos)
            self._items_left -= 1
            if self._items_left < 0:
                raise _invalid(f"exceeds the limit of {self._limits.items} items", tag, pos)
            pos = value + length
        raise _invalid("has no sequence delimiter", tag, pos)

    def _mark(self, tag: int, pos: int, end: int, encoding: Encoding) -> tuple[int, int, int]:
        if pos + 8 > end:
            raise _invalid("has a cut item", tag, pos)
        group, number, length = encoding.words.unpack_from(self._source, pos)
        return group << 16 | number, length, pos + 8


def _invalid(what: str, tag: int, offset: int) -> Invalid:
    return Invalid(f"element ({tag >> 16:04X},{tag & 0xFFFF:04X}) at offset {offset} {what}")


def encode(tag: int, vr: str, value: bytes, encoding: Encoding) -> bytes:
    """One element of defined length; the value is padded to an even length as its VR asks."""
    if len(value) & 1:
        value += b"\0" if vr in {"UI", "OB", "UN", "OW"} else b" "
    if encoding.implicit:
        return encoding.words.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
    if vr in LONG_VRS:
        head = encoding.explicit.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0)
        return head + encoding.long.pack(len(value)) + value
    if len(value) > 0xFFFE:
        raise Invalid(f"a value of {len(value)} bytes does not fit the VR {vr}")
    return encoding.explicit.pack(tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def encode_item(elements: bytes, encoding: Encoding) -> bytes:
    """One item of defined length around encoded elements."""
    return encoding.words.pack(ITEM >> 16, ITEM & 0xFFFF, len(elements)) + elements


def write(data_set: DataSet) -> list[bytes | memoryview]:
    """The data set again from its elements, in its own encoding; equal to the source for a lossless parse."""
    source = data_set.source
    parts: list[bytes | memoryview] = []
    for element in data_set.elements:
        _write_element(source, element, parts)
    return parts


def _write_element(source: memoryview, element: Element, parts: list[bytes | memoryview]) -> None:
    if element.sequence is None:
        parts.append(source[element.start : element.end])
        return
    items = element.sequence.items
    parts.append(source[element.start : element.value])
    for item in items:
        parts.append(source[item.start : item.value])
        for inner in item.elements:
            _write_element(source, inner, parts)
        parts.append(source[item.elements[-1].end if item.elements else item.value : item.end])
    parts.append(source[items[-1].end if items else element.value : element.end])
