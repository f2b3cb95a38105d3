"""The lines of a VCF file, plain or compressed by gzip or bgzip, each bound checked as they are read.

The file is hostile until read: a few compressed bytes may be gigabytes of text, one line, or a million members.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from gateway.domain.errors import Invalid

MOST_BYTES: Final = 64 << 20  # of the text
MOST_RATIO: Final = 200  # of text to compressed bytes
MOST_LINES: Final = 1_000_000
LONGEST_LINE: Final = 1 << 20
MOST_MEMBERS: Final = 100_000  # of a compressed file; bgzip writes one for 64 KiB of text
_PIECE = 1 << 16
_FED = 1 << 14  # compressed bytes at a time
_GZIP = b"\x1f\x8b"


def text_lines(content: bytes) -> Iterator[bytes]:
    """Without their ends. Raises Invalid where a bound is passed or the compression is broken."""
    count, rest = 0, b""
    for piece in _pieces(content):
        *whole, rest = (rest + piece).split(b"\n")
        count += len(whole)
        if count > MOST_LINES or len(rest) > LONGEST_LINE or any(len(line) > LONGEST_LINE for line in whole):
            raise Invalid(f"the VCF has more than {MOST_LINES} lines, or one of more than {LONGEST_LINE} bytes")
        yield from (line.rstrip(b"\r") for line in whole)
    yield rest


def _pieces(content: bytes) -> Iterator[bytes]:
    """Plain, or gzip of any number of members, which is what bgzip writes."""
    if not content.startswith(_GZIP):
        if len(content) > MOST_BYTES:
            raise Invalid(f"the VCF is longer than {MOST_BYTES} bytes")
        yield from (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
        return
    try:
        yield from _inflated(content)
    except zlib.error:
        raise Invalid("the compressed VCF cannot be read") from None


def _inflated(content: bytes) -> Iterator[bytes]:
    """In pieces of some size, however small the members are, so that many of them cost no more than their bytes."""
    most, total, held = min(MOST_BYTES, MOST_RATIO * len(content)), 0, bytearray()
    for piece in _members(content):
        total += len(piece)
        if total > most:
            raise Invalid(f"the VCF is longer than {MOST_BYTES} bytes, or {MOST_RATIO} times its compressed size")
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _members(content: bytes) -> Iterator[bytes]:
    at = count = 0
    while at < len(content):
        count += 1
        if count > MOST_MEMBERS:
            raise Invalid(f"the compressed VCF has more than {MOST_MEMBERS} members")
        stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while not stream.eof:
            fed = stream.unconsumed_tail
            if not fed:
                fed = content[at : at + _FED]
                at += len(fed)
            piece = stream.decompress(fed, _PIECE)
            if not piece and not fed and not stream.eof:
                raise Invalid("the compressed VCF ends too early")
            yield piece
        at -= len(stream.unused_data)
