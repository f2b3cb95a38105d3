"""Seals objects and pictures under the patient's own key; the one place where storage uses the privacy room.

A worker builds it with the objects key ring alone, which opens pixels and never identity (law 4).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from gateway.ports import Database
from gateway.privacy.live_ring import Keys
from gateway.privacy.sealing import LONGEST_HEADER, WrappingKey, open_sealed, read_range, seal, sealed_size
from gateway.privacy.vault import open_object_key

CACHED = 4096  # patients' object keys kept in memory by one process
REMEMBERED_SECONDS = 60.0  # before the row is asked again, so that an erased patient's key leaves every process


class PatientObjectSeal:
    """Implements the ObjectSeal port. The associated data of an object is its own id."""

    def __init__(self, ring: Keys, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._database = database
        self._clock = clock
        self._keys: OrderedDict[str, tuple[WrappingKey, float]] = OrderedDict()
        self._lock = Lock()

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]:
        return seal(parts, self._key(pseudonym), object_id.encode())

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes:
        return open_sealed(sealed, self._key(pseudonym).unwrap, object_id.encode())

    def forget(self, pseudonym: str) -> None:
        with self._lock:
            self._keys.pop(pseudonym, None)

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
        now = self._clock()
        with self._lock:
            known = self._keys.get(pseudonym)
            if known is not None and now - known[1] < REMEMBERED_SECONDS:
                return known[0]
        self.forget(pseudonym)
        with self._database.read() as unit:
            sealed = unit.identities.object_key(pseudonym)
        key = open_object_key(sealed, self._ring, pseudonym)
        with self._lock:
            self._keys[pseudonym] = key, now
            while len(self._keys) > CACHED or now - next(iter(self._keys.values()))[1] >= 2 * REMEMBERED_SECONDS:
                self._keys.popitem(last=False)
        return key
