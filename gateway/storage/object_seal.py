"""Seals objects and pictures under the patient's own key; the one place where storage uses the privacy room.

A worker builds it with the objects key ring alone, which opens pixels and never identity (law 4).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from gateway.ports import Database
from gateway.privacy.keyring import KeyRing
from gateway.privacy.sealing import LONGEST_HEADER, WrappingKey, open_sealed, read_range, seal, sealed_size
from gateway.privacy.vault import open_object_key

CACHED = 4096  # patients' object keys kept in memory by one process


class PatientObjectSeal:
    """Implements the ObjectSeal port. The associated data of an object is its own id."""

    def __init__(self, ring: KeyRing, database: Database) -> None:
        self._ring = ring
        self._database = database
        self._keys: OrderedDict[str, WrappingKey] = OrderedDict()
        self._lock = Lock()

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]:
        return seal(parts, self._key(pseudonym), object_id.encode())

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes:
        return open_sealed(sealed, self._key(pseudonym).unwrap, object_id.encode())

    def open_range(
        self,
        pseudonym: str,
        object_id: str,
        read: Callable[[int, int], bytes],
        *,
        size: int,
        start: int,
        length: int,
    ) -> bytes:
        """`length` plain bytes from `start` on, of an object of `size` plain bytes; `read` reads the sealed one."""
        sealed = sealed_size(read(0, LONGEST_HEADER), size)
        unwrap = self._key(pseudonym).unwrap
        return read_range(read, sealed, unwrap, object_id.encode(), start=start, length=length)

    def _key(self, pseudonym: str) -> WrappingKey:
        with self._lock:
            known = self._keys.get(pseudonym)
            if known is not None:
                self._keys.move_to_end(pseudonym)
                return known
        with self._database.read() as unit:
            sealed = unit.identities.object_key(pseudonym)
        key = open_object_key(sealed, self._ring, pseudonym)
        with self._lock:
            self._keys[pseudonym] = key
            if len(self._keys) > CACHED:
                self._keys.popitem(last=False)
        return key
