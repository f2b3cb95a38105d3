"""Watches the deadlines of all connections of one listener in one thread, which sleeps until the earliest.

No polling: it is woken only by a deadline earlier than the one it sleeps for.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable

from gateway.servers.dicom.connection import Connection


class DeadlineWatch:
    """Calls `expire` on each connection whose deadline has passed."""

    def __init__(self, connections: Callable[[], Iterable[Connection]]) -> None:
        self._connections = connections
        self._wake_at = -math.inf
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="dicom-deadlines", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def moved(self, deadline: float) -> None:
        """A connection has set this deadline; cheap unless it is the earliest."""
        if deadline < self._wake_at:
            with self._changed:
                self._wake_at = deadline
                self._changed.notify()

    def stop(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                # from here on every earlier deadline must wake us, also one set during the look below
                self._wake_at = math.inf
            earliest = self._expire_passed()
            with self._changed:
                self._wake_at = min(self._wake_at, earliest)
                while not self._stopping and (left := self._wake_at - time.monotonic()) > 0:
                    self._changed.wait(None if left == math.inf else left)
                if self._stopping:
                    return

    def _expire_passed(self) -> float:
        now, earliest = time.monotonic(), math.inf
        for connection in self._connections():
            if connection.deadline <= now:
                connection.expire()
            earliest = min(earliest, connection.deadline)
        return earliest
