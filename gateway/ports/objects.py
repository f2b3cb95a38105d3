"""Stored objects: where they lie, how they are sealed, and what is found in their pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.domain.clearance import Box, PixelFinding
from gateway.domain.ids import BlobKey


class BlobStore(Protocol):
    """Write-once bytes under a key. `put` returns only when the bytes would survive a power cut."""

    def put(self, key: BlobKey, parts: Sequence[bytes | memoryview]) -> None:
        """Conflict where the key exists; Unavailable where the disk or the service is out or full."""
        ...

    def get(self, key: BlobKey) -> bytes: ...

    def read_range(self, key: BlobKey, start: int, length: int) -> bytes: ...

    def delete(self, key: BlobKey) -> None:
        """Idempotent."""
        ...

    def keys(self) -> Iterable[BlobKey]: ...

    def stored_before(self, moment: datetime) -> Iterable[BlobKey]:
        """Keys of what was stored before `moment`, by the store's own clock."""
        ...


class ObjectSeal(Protocol):
    """Encrypts objects and pictures under the patient's key, bound to the id they are stored for."""

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]: ...

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes: ...

    def forget(self, pseudonym: str) -> None:
        """Drop the patient's key from memory: the patient was erased."""
        ...


@dataclass(frozen=True)
class SearchedPixels:
    """What a search found, and the pixels that replace the object's own; `pixel_data` None: they stay as they are.

    `pixel_data` is native, in the byte order of the transfer syntax; `changes` are attributes of group 0028, and
    0x00020010 for another transfer syntax. `preview` is a PNG for the person who decides, where there is a doubt.
    """

    finding: PixelFinding
    pixel_data: bytes | None
    changes: Mapping[int, int | str]
    preview: bytes | None = None


class PixelSearch(Protocol):
    """Looks for text in the pixels of one de-identified Part 10 file."""

    def search(self, file: bytes, asked: Sequence[Box] | None) -> SearchedPixels:
        """With `asked` it masks these boxes and searches for nothing. Invalid: the pixels cannot be decoded."""
        ...
