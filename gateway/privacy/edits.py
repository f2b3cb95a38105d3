"""Edits of a byte string: how a data set is changed without being copied, and changed back.

De-identification is a list of edits over the received bytes; the inverse list, sealed, is what an authorised
release needs to rebuild the original bit for bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from operator import itemgetter
from struct import Struct, error
from typing import NamedTuple

from gateway.domain.errors import Invalid

_HEAD = Struct("<4sQQI")  # magic, length this applies to, length it gives, number of edits
_EDIT = Struct("<QII")  # start, bytes replaced, bytes put in their place
_MAGIC = b"DXE1"
_MOST = 1 << 31


class Edit(NamedTuple):
    """Replace [start, end) with `new`; start == end inserts."""

    start: int
    end: int
    new: bytes | memoryview


def in_order(edits: Iterable[Edit]) -> list[Edit]:
    """By position, insertions before what they stand in front of, otherwise as they were made."""
    return sorted(edits, key=itemgetter(0, 1))


def apply(source: memoryview, edits: list[Edit]) -> list[bytes | memoryview]:
    """The edited bytes as parts; what is kept stays a slice of `source`. Edits come ordered and apart."""
    parts: list[bytes | memoryview] = []
    at = 0
    for start, end, new in edits:
        if start > at:
            parts.append(source[at:start])
        if new:
            parts.append(new)
        at = end
    if at < len(source):
        parts.append(source[at:])
    return parts


def invert(source: memoryview, edits: list[Edit]) -> list[Edit]:
    """The edits that turn the edited bytes back into `source`; neighbours are joined."""
    inverse: list[Edit] = []
    shift = 0
    run_start = run_end = run_from = run_to = -1
    for start, end, new in edits:
        out = start + shift
        if out == run_to and start == run_end:
            run_end, run_to = end, out + len(new)
        else:
            if run_start >= 0:
                inverse.append(Edit(run_from, run_to, source[run_start:run_end]))
            run_start, run_end, run_from, run_to = start, end, out, out + len(new)
        shift += len(new) - (end - start)
    if run_start >= 0:
        inverse.append(Edit(run_from, run_to, source[run_start:run_end]))
    return inverse


def pack(edits: list[Edit], applies_to: int, gives: int) -> bytes:
    """Edits as compressed bytes; the two lengths refuse a use on something else."""
    table = [_EDIT.pack(edit.start, edit.end - edit.start, len(edit.new)) for edit in edits]
    head = _HEAD.pack(_MAGIC, applies_to, gives, len(edits))
    return zlib.compress(b"".join([head, *table, *(edit.new for edit in edits)]), 1)


def unpack(packed: bytes, applies_to: int) -> tuple[list[Edit], int]:
    """The edits for a text of `applies_to` bytes, and the length they give."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed, _MOST)
        magic, length, gives, count = _HEAD.unpack_from(raw)
        if magic != _MAGIC or not stream.eof or length != applies_to:
            raise Invalid("these edits do not belong to this data set")
        at = _HEAD.size + count * _EDIT.size
        edits = []
        for start, replaced, put in _EDIT.iter_unpack(raw[_HEAD.size : at]):
            edits.append(Edit(start, start + replaced, raw[at : at + put]))
            at += put
    except (zlib.error, error) as cause:
        raise Invalid("these edits are not readable") from cause
    return edits, gives
