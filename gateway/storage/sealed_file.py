"""A sealed object as a file that opens segment by segment: who reads a header need not open gigabytes of pixels.

Small objects are one segment and are read whole; of larger ones only the segments are read and opened in which
somebody reads (sealing.py, random access).
"""

from __future__ import annotations

import io
from typing import BinaryIO

from gateway.domain.ids import BlobKey
from gateway.ports import BlobStore
from gateway.privacy.sealing import SEGMENT
from gateway.storage.object_seal import PatientObjectSeal

_WHOLE = 4 * SEGMENT


class SealedFiles:
    """Implements StoredFiles of the check step over a blob store and the patients' keys."""

    def __init__(self, blobs: BlobStore, seal: PatientObjectSeal) -> None:
        self._blobs = blobs
        self._seal = seal

    def open(self, pseudonym: str, key: BlobKey, size: int) -> BinaryIO:
        if size <= _WHOLE:
            return io.BytesIO(self._seal.open(pseudonym, key, self._blobs.get(key)))
        return io.BufferedReader(_Segments(self._blobs, self._seal, pseudonym, key, size), buffer_size=1 << 16)


class _Segments(io.RawIOBase):
    """`size` plain bytes of one sealed object; the segment last opened is kept."""

    def __init__(self, blobs: BlobStore, seal: PatientObjectSeal, pseudonym: str, key: BlobKey, size: int) -> None:
        self._blobs, self._seal, self._pseudonym, self._key, self._size = blobs, seal, pseudonym, key, size
        self._at = 0
        self._start, self._opened = 0, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        if not self._start <= self._at < self._start + len(self._opened):
            self._start = self._at // SEGMENT * SEGMENT
            length = min(SEGMENT, self._size - self._start)
            self._opened = self._seal.open_range(
                self._pseudonym, self._key, self._read, size=self._size, start=self._start, length=length
            )
        skip = self._at - self._start
        part = self._opened[skip : skip + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _read(self, offset: int, length: int) -> bytes:
        return self._blobs.read_range(self._key, offset, length)
