"""Reads a Part 10 file element by element with pydicom, at every depth, and misses no byte of it.

pydicom's element generator reads each run of elements; undefined lengths, where it would look for a delimiter in
compressed frames, are walked here item by item (PS3.5 7.5, A.4). Everything is bounded: depth, count, size, time.
"""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import data_element_generator

from gateway.domain.errors import Invalid
from gateway.privacy.checker.table import VRS

UNDEFINED: Final = 0xFFFFFFFF
PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double float and integer pixel data: the search for burned-in text is another's work."""
_CHARSET: Final = 0x00080005
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS: Final = {0x0D, 0x0A, 0x09, 0x0C, 0x5C, 0x5E, 0x3D}
_LONG_VRS: Final = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
"""Data sets that are deflated whole (PS3.5 A.5, A.7, A.12); in Deflated Image Frame Compression only frames are."""
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_DEFERRED: Final = 1 << 16


@dataclass(frozen=True)
class Limits:
    """What one object may ask of the checker."""

    depth: int = 64
    elements: int = 500_000
    value: int = 1 << 26
    inflated: int = 1 << 30
    seconds: float = 60.0


class Unreadable(Invalid):
    """The file cannot be read whole, or only beyond the limits; what is not read is not checked."""


class Place(NamedTuple):
    """Where a run of elements stands: its character sets, its path in words, its depth."""

    charset: tuple[str, ...]
    path: str
    depth: int

    def of(self, tag: int) -> str:
        return f"{self.path}({tag >> 16:04X},{tag & 0xFFFF:04X})"

    def inside(self, path: str) -> Place:
        return Place(self.charset, path, self.depth + 1)


class Found(NamedTuple):
    """One data element: its place in words, its VR, and its value, items, or neither for pixel data."""

    tag: int
    vr: str
    value: bytes | None
    items: tuple[tuple[Found, ...], ...] | None
    path: str
    charset: tuple[str, ...]

    def text(self) -> str:
        """The value as text without padding; undecodable bytes stay visible as Latin-1."""
        value = self.value or b""
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii").strip(" \0")
        try:
            return str(decode_bytes(value, list(self.charset), _DELIMITERS)).strip(" \0")
        except (UnicodeError, LookupError, ValueError):
            return value.decode("latin-1").strip(" \0")


@dataclass
class Reader:
    """One reading of one data set; `elements` gives the root in order of the file."""

    file: BinaryIO
    size: int
    transfer_syntax: str
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.transfer_syntax in _DEFLATED:
            self.file, self.size = self._inflated()
        self._implicit = self.transfer_syntax == _IMPLICIT
        self._little = self.transfer_syntax != _BIG_ENDIAN
        order = "<" if self._little else ">"
        self._tag_and_length = Struct(f"{order}HHL")
        self._length = Struct(f"{order}L")
        self._left = self.limits.elements
        self._until = time.monotonic() + self.limits.seconds

    def elements(self) -> Iterator[Found]:
        """The root's elements; Unreadable where anything is left over or cut short."""
        ended = yield from self._run(self.file, self.size, Place(("iso8859",), "", 0))
        if ended != self.size:
            raise Unreadable("bytes that belong to no element")

    def _inflated(self) -> tuple[BinaryIO, int]:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = stream.decompress(self.file.read(), self.limits.inflated)
        except zlib.error as error:
            raise Unreadable("a deflated data set is damaged") from error
        if not stream.eof:
            raise Unreadable("a deflated data set is cut short or too large to check")
        return io.BytesIO(plain), len(plain)

    def _run(self, file: BinaryIO, end: int, place: Place) -> Generator[Found, None, int]:
        """The elements up to the end of the file or to the delimiter of an item; where the last one has ended."""
        if place.depth > self.limits.depth:
            raise Unreadable("sequences are nested too deep to check")
        stopped: list[tuple[int, str | None]] = []
        stop, ended = _stop_into(stopped), file.tell()
        while True:
            for raw in data_element_generator(file, self._implicit, self._little, stop, _DEFERRED):
                tag, length, ended = int(raw.tag), raw.length, file.tell()
                is_pixels = tag in PIXELS and place.depth == 0
                value = (
                    self._long_value(file, raw, end) if raw.value is None and length and not is_pixels else raw.value
                )
                if length and value is not None and len(value) != length:
                    raise Unreadable("an element is cut short")
                if tag == _CHARSET:
                    place = place._replace(charset=_charset(value or b""))
                yield self._found(tag, self._vr(tag, raw.VR), None if is_pixels else value or b"", place)
            if not stopped:
                return ended
            tag, vr = stopped.pop()
            found = self._undefined(file, end, tag, self._vr(tag, vr), place)
            ended = file.tell()
            yield found

    def _found(self, tag: int, vr: str, value: bytes | None, place: Place) -> Found:
        self._count()
        path = place.of(tag)
        if vr != "SQ" or value is None:
            return Found(tag, vr, value, None, path, place.charset)
        items = self._items(io.BytesIO(value), len(value), place.inside(path))
        return Found(tag, vr, None, items, path, place.charset)

    def _long_value(self, file: BinaryIO, raw: RawDataElement | DataElement, end: int) -> bytes:
        """A long value that is not pixel data; the generator has stepped over it."""
        at, length = raw.value_tell, raw.length
        if at + length > end or length > self.limits.value:
            raise Unreadable("an element is cut short or too large to check")
        after = file.tell()
        file.seek(at)
        value = file.read(length)
        file.seek(after)
        return value

    def _undefined(self, file: BinaryIO, end: int, tag: int, vr: str, place: Place) -> Found:
        """A sequence or encapsulated pixel data of undefined length; the file stands at the element's start."""
        self._count()
        path = place.of(tag)
        file.seek(8 if self._implicit or vr not in _LONG_VRS else 12, io.SEEK_CUR)
        if vr == "SQ":
            items = self._items(file, end, place.inside(path), undefined=True)
            return Found(tag, vr, None, items, path, place.charset)
        if tag not in PIXELS:
            raise Unreadable("an element of undefined length that is neither a sequence nor pixel data")
        while (fragment := self._item_header(file))[0] == _ITEM:
            file.seek(fragment[1], io.SEEK_CUR)
            self._count()
        if fragment != (_SEQUENCE_END, 0) or file.tell() > end:
            raise Unreadable("encapsulated pixel data has no end")
        return Found(tag, vr, None, None, path, place.charset)

    def _items(
        self, file: BinaryIO, end: int, place: Place, *, undefined: bool = False
    ) -> tuple[tuple[Found, ...], ...]:
        items: list[tuple[Found, ...]] = []
        while undefined or file.tell() < end:
            tag, length = self._item_header(file)
            if undefined and (tag, length) == (_SEQUENCE_END, 0):
                break
            if tag != _ITEM:
                raise Unreadable("a sequence holds something that is no item")
            inside = place._replace(path=f"{place.path}[{len(items)}]/")
            items.append(tuple(self._item(file, end, length, inside)))
            self._count()
        return tuple(items)

    def _item(self, file: BinaryIO, end: int, length: int, place: Place) -> Iterator[Found]:
        if length != UNDEFINED:
            content = file.read(length)
            part = io.BytesIO(content)
            ended = yield from self._run(part, length, place)
            if len(content) != length or ended != length:
                raise Unreadable("an item is cut short")
            return
        yield from self._run(file, end, place)
        file.seek(-8, io.SEEK_CUR)
        if self._item_header(file) != (_ITEM_END, 0):
            raise Unreadable("an item has no end")

    def _item_header(self, file: BinaryIO) -> tuple[int, int]:
        head = file.read(8)
        if len(head) != 8:
            raise Unreadable("a sequence has no end")
        group, number, length = self._tag_and_length.unpack(head)
        return group << 16 | number, length

    def _vr(self, tag: int, vr: str | None) -> str:
        """The VR of the file, or of the dictionary where the file has none; "" where that is ambiguous or unknown."""
        if vr is not None:
            return vr
        known = VRS.get(tag, frozenset())
        if not self._implicit or not known:
            return ""
        return next(iter(known)) if len(known) == 1 else "OW" if "OW" in known else "US"

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unreadable("too many elements to check")
        if self._left % 256 == 0 and time.monotonic() > self._until:
            raise Unreadable("too slow to check")


def _stop_into(stopped: list[tuple[int, str | None]]) -> Callable[[int, str | None, int], bool]:
    """A condition for pydicom's generator that notes at which element it has stopped."""

    def stop(tag: int, vr: str | None, length: int) -> bool:
        if length == UNDEFINED:
            stopped.append((int(tag), vr))
        return length == UNDEFINED

    return stop


def _charset(value: bytes) -> tuple[str, ...]:
    terms = [term.strip() for term in value.decode("latin-1").strip(" \0").split("\\")]
    try:
        return tuple(convert_encodings(terms))
    except (LookupError, ValueError):
        return ("iso8859",)
