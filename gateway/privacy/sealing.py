"""AES-256-GCM sealing of stored objects in segments, and of small values for database columns.

Format, a wire law: magic(4) version(1) algorithm(1) nonce prefix(7) segment size(4) | key id length(1) key id
wrapped data key(60) | segments. Each segment is sealed with a fresh data key under the nonce
prefix(7) counter(4) last(1) (STREAM, Hoang et al. 2015; NIST SP 800-38D). The associated data of a segment is the
part left of the first bar with the caller's (tenant and object id): key id and wrapped key stay out of it, so
that `rewrap` can rotate keys without touching segments. They need no binding: another data key opens nothing.
The last flag stops truncation, the counter reordering, the caller's part swapping, the first part downgrading.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from struct import Struct, error
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import Fault, Invalid

SEGMENT: Final = 1 << 20
_TAG: Final = 16
_FIXED: Final = Struct("<4sBB7sI")
_MAGIC: Final = b"DXGS"
_VERSION: Final = 1
_AES_256_GCM: Final = 1
_WRAPPED: Final = 12 + 32 + _TAG
_LARGEST_SEGMENT: Final = 1 << 26
LONGEST_HEADER: Final = _FIXED.size + 1 + 255 + _WRAPPED
_COLUMN_VERSION: Final = 1

Unwrap = Callable[[str, bytes], bytes]
"""(key id, wrapped data key) -> data key."""


@dataclass(frozen=True, repr=False)
class WrappingKey:
    """A named 256-bit key that wraps other keys. Has no text form."""

    kid: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != 32 or not 0 < len(self.kid.encode()) < 256:
            raise Fault("a wrapping key has 32 bytes and an id of 1 to 255 bytes")

    def __repr__(self) -> str:
        return f"WrappingKey({self.kid!r}, …)"

    @cached_property
    def cipher(self) -> AESGCM:
        """Set up once: one key seals many cells and data keys."""
        return AESGCM(self.key)

    def wrap(self, key: bytes) -> bytes:
        """nonce(12) and sealed key(48); bound to this key's id."""
        nonce = os.urandom(12)
        return nonce + self.cipher.encrypt(nonce, key, b"dxgate/wrap/v1|" + self.kid.encode())

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        """The key inside; raises Invalid for another key's id or an altered wrapping."""
        if kid != self.kid:
            raise Invalid(f"sealed under key {kid!r}, not {self.kid!r}")
        aad = b"dxgate/wrap/v1|" + kid.encode()
        return _opened(self.key, wrapped[:12], wrapped[12:], aad, "a wrapped key")


@dataclass(frozen=True)
class SealedHeader:
    """The header of a sealed object, in front of its segments."""

    fixed: bytes
    prefix: bytes
    segment: int
    kid: str
    wrapped: bytes

    @property
    def size(self) -> int:
        """Bytes before the first segment."""
        return len(self.fixed) + 1 + len(self.kid.encode()) + len(self.wrapped)

    def to_bytes(self) -> bytes:
        """As it is stored."""
        kid = self.kid.encode()
        return b"".join((self.fixed, bytes((len(kid),)), kid, self.wrapped))

    def nonce(self, index: int, *, last: bool) -> bytes:
        """The nonce of a segment."""
        return self.prefix + index.to_bytes(4, "big") + (b"\1" if last else b"\0")

    def segments_in(self, size: int) -> int:
        """How many segments an object of `size` bytes in all has; raises Invalid where that cannot be."""
        body = size - self.size
        count, rest = divmod(body, self.segment + _TAG)
        if rest:
            count += 1
        if body < _TAG or 0 < rest < _TAG or (rest == _TAG and count > 1):
            raise Invalid("a sealed object is cut short")
        return count


def read_sealed_header(start: bytes | memoryview) -> SealedHeader:
    """The header from the first bytes of a sealed object; LONGEST_HEADER bytes always suffice."""
    try:
        magic, version, algorithm, prefix, segment = _FIXED.unpack_from(start)
        at = _FIXED.size + 1
        kid = bytes(start[at : at + start[at - 1]])
        at += start[at - 1]
        text = kid.decode()
    except (error, IndexError, UnicodeDecodeError) as cause:
        raise Invalid("not a sealed object") from cause
    if (magic, version, algorithm) != (_MAGIC, _VERSION, _AES_256_GCM):
        raise Invalid("not a sealed object, or of a format this version does not know")
    wrapped = bytes(start[at : at + _WRAPPED])
    if not 0 < segment <= _LARGEST_SEGMENT or len(wrapped) != _WRAPPED or not kid:
        raise Invalid("a sealed object with a broken header")
    return SealedHeader(bytes(start[: _FIXED.size]), prefix, segment, text, wrapped)


def seal(parts: Iterable[bytes | memoryview], wrapping: WrappingKey, aad: bytes, segment: int = SEGMENT) -> list[bytes]:
    """Header and segments of the parts sealed under a fresh data key; `aad` names tenant and object."""
    data_key = os.urandom(32)
    prefix = os.urandom(7)
    fixed = _FIXED.pack(_MAGIC, _VERSION, _AES_256_GCM, prefix, segment)
    header = SealedHeader(fixed, prefix, segment, wrapping.kid, wrapping.wrap(data_key))
    cipher, bound = AESGCM(data_key), _bound(fixed, aad)
    sealed = [header.to_bytes()]
    plain: bytes | memoryview
    plain, index = b"", -1
    for index, following in enumerate(_segments(parts, segment)):
        if index:
            sealed.append(cipher.encrypt(header.nonce(index - 1, last=False), plain, bound))
        plain = following
    sealed.append(cipher.encrypt(header.nonce(max(index, 0), last=True), plain, bound))
    return sealed


def _segments(parts: Iterable[bytes | memoryview], size: int) -> Iterator[bytes | memoryview]:
    """The parts cut and joined to `size` bytes; a segment that lies inside one part is not copied."""
    gathered: list[bytes | memoryview] = []
    room = size
    for part in parts:
        view = memoryview(part)
        while len(view) >= room:
            gathered.append(view[:room])
            yield gathered[0] if len(gathered) == 1 else b"".join(gathered)
            view = view[room:]
            gathered, room = [], size
        if len(view):
            gathered.append(view)
            room -= len(view)
    if gathered:
        yield gathered[0] if len(gathered) == 1 else b"".join(gathered)


def open_sealed(blob: bytes | memoryview, unwrap: Unwrap, aad: bytes) -> bytes:
    """The plain bytes; raises Invalid for whatever was altered, cut, reordered, swapped or downgraded."""
    view = memoryview(blob)

    def read(offset: int, length: int) -> memoryview:
        return view[offset : offset + length]

    header = read_sealed_header(view)
    size = (len(view) - header.size) - _TAG * header.segments_in(len(view))
    return read_range(read, len(view), unwrap, aad, start=0, length=size)


def read_range(
    read: Callable[[int, int], bytes | memoryview],
    size: int,
    unwrap: Unwrap,
    aad: bytes,
    *,
    start: int,
    length: int,
) -> bytes:
    """`length` plain bytes from `start` on, reading only the segments that hold them.

    `read(offset, length)` reads the sealed object of `size` bytes. Raises Invalid past the end.
    """
    header = read_sealed_header(read(0, min(size, LONGEST_HEADER)))
    count = header.segments_in(size)
    if start < 0 or length < 0 or start + length > size - header.size - _TAG * count:
        raise Invalid("a range past the end of a sealed object")
    cipher_key, bound = unwrap(header.kid, header.wrapped), _bound(header.fixed, aad)
    first, last = start // header.segment, max(start, start + length - 1) // header.segment
    plain = []
    stride = header.segment + _TAG
    for index in range(first, min(last, count - 1) + 1):
        sealed = read(header.size + index * stride, min(stride, size - header.size - index * stride))
        nonce = header.nonce(index, last=index == count - 1)
        plain.append(_opened(cipher_key, nonce, sealed, bound, "a sealed object"))
    skip = start - first * header.segment
    if len(plain) == 1 and skip == 0 and length == len(plain[0]):
        return plain[0]
    return b"".join(plain)[skip : skip + length]


def sealed_size(start: bytes | memoryview, plain: int) -> int:
    """How many bytes an object of `plain` bytes has when sealed, from the first LONGEST_HEADER of them."""
    header = read_sealed_header(start)
    return header.size + plain + _TAG * max(1, -(-plain // header.segment))


def rewrap(header: SealedHeader, unwrap: Unwrap, wrapping: WrappingKey) -> SealedHeader:
    """The header with its data key under another wrapping key; segments stay as they are."""
    data_key = unwrap(header.kid, header.wrapped)
    return SealedHeader(header.fixed, header.prefix, header.segment, wrapping.kid, wrapping.wrap(data_key))


def _bound(fixed: bytes, aad: bytes) -> bytes:
    return b"dxgate/object/v1|" + fixed + b"|" + aad


def _opened(key: bytes, nonce: bytes, sealed: bytes | memoryview, aad: bytes, what: str) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError) as cause:
        raise Invalid(f"{what} does not open: altered, or another key or place") from cause


def seal_column(value: bytes, wrapping: WrappingKey, table: str, column: str, row: str) -> bytes:
    """A small value for one cell: version(1) key id length(1) key id nonce(12) sealed, bound to its cell."""
    kid, nonce = wrapping.kid.encode(), os.urandom(12)
    sealed = wrapping.cipher.encrypt(nonce, value, _cell(table, column, row, wrapping.kid))
    return bytes((_COLUMN_VERSION, len(kid))) + kid + nonce + sealed


def column_key_id(cell: bytes) -> str:
    """Under which key a cell is sealed."""
    if len(cell) < 2 or cell[0] != _COLUMN_VERSION or len(cell) < 2 + cell[1] + 12 + _TAG:
        raise Invalid("not a sealed column value")
    return cell[2 : 2 + cell[1]].decode("utf-8", "replace")


def open_column(cell: bytes, key_for: Callable[[str], WrappingKey], table: str, column: str, row: str) -> bytes:
    """The value of a cell; raises Invalid when it was altered or comes from another cell."""
    kid = column_key_id(cell)
    at = 2 + cell[1]
    aad = _cell(table, column, row, kid)
    return _opened(key_for(kid).key, cell[at : at + 12], cell[at + 12 :], aad, "a sealed column value")


def _cell(table: str, column: str, row: str, kid: str) -> bytes:
    return "\x1f".join(("dxgate/column/v1", table, column, row, kid)).encode()
