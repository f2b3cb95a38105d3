"""The process-wide budget of message bytes held in memory at one time.

Objects wait in memory, never on disk, until they are sealed; without a common bound, many senders of large
objects would end the process instead of being told to come again.
"""

from __future__ import annotations

import threading


class ByteBudget:
    """Counts reserved bytes up to a limit; every reservation is released by who made it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reserved = 0
        self._lock = threading.Lock()

    @property
    def reserved(self) -> int:
        """Bytes reserved now."""
        return self._reserved

    def reserve(self, count: int) -> bool:
        """Takes `count` bytes, or nothing and False when the limit would be passed."""
        with self._lock:
            if self._reserved + count > self._limit:
                return False
            self._reserved += count
            return True

    def release(self, count: int) -> None:
        """Gives back what was reserved."""
        with self._lock:
            self._reserved -= count
