"""Seals objects and pictures under the patient's own key; the one place where storage uses the privacy room.

A worker builds it with the objects key ring alone, which opens pixels and never identity (law 4).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

from gateway.ports import Database
from gateway.privacy.live_ring import Keys
from gateway.privacy.sealing import WrappingKey, open_sealed, seal
from gateway.privacy.vault import open_object_key

CACHED = 4096  # patients' object keys kept in memory by one process


class PatientObjectSeal:
    """Implements the ObjectSeal port. The associated data of an object is its own id."""

    def __init__(self, ring: Keys, database: Database) -> None:
        self._ring = ring
        self._database = database
        self._keys: OrderedDict[str, WrappingKey] = OrderedDict()
        self._lock = Lock()

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]:
        return seal(parts, self._key(pseudonym), object_id.encode())

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes:
        return open_sealed(sealed, self._key(pseudonym).unwrap, object_id.encode())

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
