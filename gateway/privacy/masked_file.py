"""A de-identified file with other pixels: text masked, Burned In Annotation answered, the method recorded.

PS3.15 E.3.1 (Clean Pixel Data, code 113101), PS3.3 C.7.6.3 (image pixel), PS3.5 annex A. Nothing is decoded here:
the caller brings the pixels. What is taken out is returned packed, so that the file as it was can be rebuilt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.errors import Fault, Invalid
from gateway.privacy import edits as editing
from gateway.privacy.dataset import (
    DEFLATED_SYNTAXES,
    EXPLICIT,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    DataSet,
    Element,
    Encoding,
    deflate,
    encode,
    encoding_of,
    parse,
)
from gateway.privacy.dictionary import CHOICES, LONG_VRS, writable_vr
from gateway.privacy.dummies import code_item
from gateway.privacy.edits import Edit
from gateway.privacy.part10 import file_header, split
from gateway.privacy.stamps import PixelMethod

TRANSFER_SYNTAX: Final = 0x00020010
_SOP_CLASS, _SOP_INSTANCE, _METHOD_CODES, _BITS_ALLOCATED = 0x00080016, 0x00080018, 0x00120064, 0x00280100
_BURNED_IN: Final = 0x00280301
_CODE_VALUE: Final = 0x00080100
_OFFSETS: Final = (0x7FE00001, 0x7FE00002)  # Extended Offset Table and its lengths: true of the old pixels only
_NATIVE: Final = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}) | DEFLATED_SYNTAXES
_SIZES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4}
_BLOCK: Final = 4096
_END: Final = EXPLICIT.words.pack(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)

Value = int | str | bytes | None
"""A new value: a number for US, SS, UL and SL, text for the other VRs, raw bytes; None removes the element."""


@dataclass(frozen=True)
class ReplacedPixels:
    """The new file as parts (slices of the old one among them), and what `restore_pixels` needs."""

    parts: list[bytes | memoryview] = field(repr=False)
    removed: bytes = field(repr=False)


def replace_pixels(
    file: bytes | memoryview, pixel_data: bytes | memoryview | None, changes: Mapping[int, Value] | None = None
) -> ReplacedPixels:
    """The file with `pixel_data` as its Pixel Data, marked as clean of burned-in text; None: with its own.

    `file` is a Part 10 file as the engine wrote it. `pixel_data` is the value of (7FE0,0010): native pixels in the
    file's byte order, or the items that `pydicom.encaps.encapsulate` gives (offset table and fragments, no
    delimiter), as the transfer syntax in force asks. `changes` are attributes of group 0028 that the new pixels
    need (Photometric Interpretation, Planar Configuration, Bits Allocated ...), and 0x00020010 for a new transfer
    syntax. Burned In Annotation=NO and code 113101 are written in any case, once. Where old and new pixels are
    native and of one length, `removed` holds the blocks that differ only. Raises Invalid where the file cannot be
    read or has no pixels, Fault where the changes are not of the image.
    """
    view, wanted = memoryview(file), dict(changes or {})
    old_syntax, body = split(view)
    new_syntax = str(wanted.pop(TRANSFER_SYNTAX, old_syntax))
    _check(old_syntax, new_syntax, wanted)
    data_set = parse(body, old_syntax)
    top = {element.tag: element for element in data_set.elements}
    if PIXEL_DATA not in top:
        raise Invalid("the file has no Pixel Data (7FE0,0010)")
    inside = _attributes(data_set, top, wanted | {_BURNED_IN: "NO"})
    inside += _method(data_set, top)
    if pixel_data is not None:
        inside += _pixels(data_set, top, pixel_data, new_syntax, wanted)
    inside = editing.in_order(inside)
    start = len(view) - len(body)
    head = _head(data_set, top, new_syntax)
    whole = [] if bytes(view[:start]) == head else [Edit(0, start, head)]
    if DEFLATED_SYNTAXES & {old_syntax, new_syntax}:
        parts = editing.apply(data_set.source, inside)
        new = deflate(parts) if new_syntax in DEFLATED_SYNTAXES else b"".join(parts)
        whole.append(Edit(start, len(view), new))
    else:
        whole += [Edit(edit.start + start, edit.end + start, edit.new) for edit in inside]
    parts = editing.apply(view, whole)
    return ReplacedPixels(parts, editing.pack(editing.invert(view, whole), sum(map(len, parts)), len(view)))


def restore_pixels(file: bytes | memoryview | list[bytes | memoryview], removed: bytes) -> bytes:
    """The file before `replace_pixels`, bit for bit; Invalid where `removed` belongs to another file."""
    whole = memoryview(b"".join(file) if isinstance(file, list) else file)
    edits, length = editing.unpack(removed, len(whole))
    restored = b"".join(editing.apply(whole, edits))
    if len(restored) != length:
        raise Invalid("what was removed does not fit this file")
    return restored


def _check(old_syntax: str, new_syntax: str, wanted: Mapping[int, Value]) -> None:
    if encoding_of(old_syntax) is not encoding_of(new_syntax):
        raise Fault("new pixels cannot change the encoding of the header")
    foreign = [tag for tag in wanted if tag >> 16 != 0x0028 or tag not in CHOICES]
    if foreign:
        raise Fault(f"new pixels do not change ({foreign[0] >> 16:04X},{foreign[0] & 0xFFFF:04X})")


def _head(data_set: DataSet, top: Mapping[int, Element], syntax: str) -> bytes:
    sop_class, sop_instance = (
        data_set.value(top[tag]).tobytes().decode("latin-1").strip(" \0") for tag in (_SOP_CLASS, _SOP_INSTANCE)
    )
    return file_header(sop_class, sop_instance, syntax)


def _attributes(data_set: DataSet, top: Mapping[int, Element], values: Mapping[int, Value]) -> list[Edit]:
    edits = []
    for tag, value in values.items():
        element = top.get(tag)
        vr = element.vr if element is not None and element.vr in CHOICES[tag] else writable_vr(tag)
        new = b"" if value is None else encode(tag, vr, _raw(vr, value, data_set.encoding), data_set.encoding)
        edits.append(_put(data_set, element, tag, new))
    return edits


def _raw(vr: str, value: int | str | bytes, encoding: Encoding) -> bytes:
    if isinstance(value, int):
        order = "big" if encoding.big else "little"
        return value.to_bytes(_SIZES[vr], order, signed=vr in {"SS", "SL"})  # type: ignore[arg-type]
    return value.encode("ascii") if isinstance(value, str) else value


def _put(data_set: DataSet, element: Element | None, tag: int, new: bytes) -> Edit:
    """In place of the element, or where it would stand."""
    if element is not None:
        return Edit(element.start, element.end, new)
    place = bisect_left([known.tag for known in data_set.elements], tag)
    at = data_set.elements[place].start if place < len(data_set.elements) else len(data_set.source)
    return Edit(at, at, new)


def _method(data_set: DataSet, top: Mapping[int, Element]) -> list[Edit]:
    """Appends code 113101 to De-identification Method Code Sequence where it is not there yet."""
    element, items = top.get(_METHOD_CODES), b""
    if element is not None and element.sequence is not None:
        for item in element.sequence.items:
            items += data_set.source[item.start : item.end]
            if any(_is_clean_pixel_data(data_set, inner) for inner in item.elements):
                return []
    code, meaning = PixelMethod.CLEAN_PIXEL_DATA.value
    items += code_item(code, "DCM", meaning, data_set.encoding)
    return [_put(data_set, element, _METHOD_CODES, encode(_METHOD_CODES, "SQ", items, data_set.encoding))]


def _is_clean_pixel_data(data_set: DataSet, element: Element) -> bool:
    code = PixelMethod.CLEAN_PIXEL_DATA.value[0].encode()
    return element.tag == _CODE_VALUE and bytes(data_set.value(element)).strip(b" \0") == code


def _pixels(
    data_set: DataSet,
    top: Mapping[int, Element],
    pixel_data: bytes | memoryview,
    syntax: str,
    changes: Mapping[int, Value],
) -> list[Edit]:
    old, new = top[PIXEL_DATA], memoryview(pixel_data).cast("B")
    native = syntax in _NATIVE
    was_native = data_set.source[old.value - 4 : old.value] != UNDEFINED.to_bytes(4, "little")
    if native and was_native and len(new) == old.end - old.value:
        return _differences(data_set.value(old), new, old.value)
    offsets = [Edit(top[tag].start, top[tag].end, b"") for tag in _OFFSETS if tag in top]
    if native:
        vr = old.vr if was_native and " " not in old.vr else _vr(data_set, top, changes)
        return [*offsets, Edit(old.start, old.end, _long(vr, bytes(new), data_set.encoding))]
    head = _head_of(PIXEL_DATA, "OB", UNDEFINED, data_set.encoding)
    return [*offsets, Edit(old.start, old.end, b"".join([head, new, _END]))]


def _vr(data_set: DataSet, top: Mapping[int, Element], changes: Mapping[int, Value]) -> str:
    """OW past eight bits, else OB (PS3.5 A.2)."""
    if _BITS_ALLOCATED in changes:
        return "OW" if changes[_BITS_ALLOCATED] not in (1, 8) else "OB"
    bits = data_set.value(top[_BITS_ALLOCATED]) if _BITS_ALLOCATED in top else b""
    return "OW" if int.from_bytes(bits[:2], "big" if data_set.encoding.big else "little") > 8 else "OB"


def _head_of(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    if encoding.implicit:
        return encoding.words.pack(tag >> 16, tag & 0xFFFF, length)
    assert vr in LONG_VRS  # noqa: S101 - OB and OW are
    return encoding.explicit.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0) + encoding.long.pack(length)


def _long(vr: str, value: bytes, encoding: Encoding) -> bytes:
    padded = value + b"\0" * (len(value) & 1)
    return _head_of(PIXEL_DATA, vr, len(padded), encoding) + padded


def _differences(old: memoryview, new: memoryview, start: int) -> list[Edit]:
    """Edits of the blocks in which two values of one length differ; neighbours are one edit."""
    edits: list[Edit] = []
    first = -1
    for at in range(0, len(old) + _BLOCK, _BLOCK):
        differs = at < len(old) and old[at : at + _BLOCK] != new[at : at + _BLOCK]
        if differs and first < 0:
            first = at
        elif not differs and first >= 0:
            stop = min(at, len(old))
            edits.append(Edit(start + first, start + stop, new[first:stop]))
            first = -1
    return edits
