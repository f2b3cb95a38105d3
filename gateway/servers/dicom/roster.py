"""The live connections of one listener: counted in total and by peer, with idle ones giving way at the limit.

Without it a dozen silent connections can hold every slot for ever; with it a new sender is always heard, or
told to come again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from enum import Enum

from gateway.servers.dicom.connection import Connection
from gateway.servers.dicom.policy import Ending
from gateway.servers.dicom.settings import Limits


class Place(Enum):
    """What a new connection gets."""

    SERVED = "served"
    REFUSED = "refused"  # heard, and told that a limit is exceeded
    CLOSED = "closed"


class Roster:
    """Thread-safe; every connection that is added is removed by its association thread."""

    def __init__(self, limits: Limits, evictable_seconds: float) -> None:
        self._limits = limits
        self._evictable_seconds = evictable_seconds
        self._served: set[Connection] = set()
        self._others: set[Connection] = set()  # being refused or evicted
        self._per_peer: Counter[str] = Counter()
        self._lock = threading.Lock()

    def all(self) -> list[Connection]:
        """Every connection whose thread lives."""
        with self._lock:
            return [*self._served, *self._others]

    def add(self, connection: Connection) -> Place:
        """Finds a place, if need be by evicting the connection that has been idle for longest."""
        evicted: Connection | None = None
        with self._lock:
            place = Place.SERVED
            if self._per_peer[connection.peer_host] >= self._limits.connections_per_peer:
                place = Place.REFUSED
            elif len(self._served) >= self._limits.connections:
                evicted = self._longest_idle()
                if evicted is None:
                    place = Place.REFUSED
                else:
                    self._leave(evicted)
                    self._others.add(evicted)
            if place is Place.REFUSED and len(self._others) >= self._limits.refusals:
                return Place.CLOSED
            if place is Place.SERVED:
                self._served.add(connection)
                self._per_peer[connection.peer_host] += 1
            else:
                self._others.add(connection)
        if evicted is not None:
            evicted.cut(Ending.EVICTED)
        return place

    def remove(self, connection: Connection) -> None:
        """The connection's thread has ended."""
        with self._lock:
            self._others.discard(connection)
            if connection in self._served:
                self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        self._served.remove(connection)
        self._per_peer[connection.peer_host] -= 1
        if not self._per_peer[connection.peer_host]:
            del self._per_peer[connection.peer_host]

    def _longest_idle(self) -> Connection | None:
        oldest = min(self._served, key=lambda connection: connection.quiet_since, default=None)
        if oldest is None or time.monotonic() - oldest.quiet_since < self._evictable_seconds:
            return None
        return oldest
