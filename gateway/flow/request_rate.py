"""How many requests a client or an address may make: a token bucket for each, in bounded memory of this process.

A bound on what one sender may take from all others; failed sign-ins have their own, narrower one (attempts.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.domain.errors import Busy

BURST_SECONDS = 5.0
MOST_BUCKETS = 20_000


class TooManyRequests(Busy):
    """Asking again makes sense only after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests; try again in {seconds} s")
        self.seconds = seconds


class RequestRate:
    """`per_second` requests for each name, and as many as come in five seconds at once."""

    def __init__(
        self, per_second: float, capacity: int = MOST_BUCKETS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst = per_second, max(1.0, per_second * BURST_SECONDS)
        self._capacity, self._clock = capacity, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Counts one request; TooManyRequests, uncounted, where the bucket is empty."""
        with self._lock:
            now = self._clock()
            left, at = self._buckets.get(name, (self._burst, now))
            left = min(self._burst, left + (now - at) * self._rate)
            if left < 1.0:
                raise TooManyRequests(int((1.0 - left) / self._rate) + 1)
            self._buckets[name] = (left - 1.0, now)
            self._buckets.move_to_end(name)
            while len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
