"""How often somebody may fail to sign in: a leaky bucket for each name and address, in bounded memory.

One bucket for a name from one address stops guessing one secret, one for the address stops guessing many names;
none for the name alone, because that would let a stranger lock a hospital's EHR out (CWE-645).
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.errors import Busy


class TooManyAttempts(Busy):
    """Trying again makes sense only after `seconds`."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many failed attempts; try again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Limit:
    """`failures` at once, and as many again in each `seconds`."""

    failures: int
    seconds: float


PER_NAME = Limit(10, 300.0)
PER_ADDRESS = Limit(100, 300.0)


class Attempts:
    """Counts an attempt when it begins, so that parallel ones are counted too, and forgives those that succeed."""

    def __init__(
        self,
        per_name: Limit = PER_NAME,
        per_address: Limit = PER_ADDRESS,
        capacity: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = (per_name, per_address)
        self._capacity = capacity
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: str, address: str) -> None:
        """Counts one attempt; TooManyAttempts, uncounted, where a bucket is full."""
        with self._lock:
            now = self._clock()
            buckets = self._of(name, address)
            levels = [self._level(key, limit, now) for key, limit in buckets]
            for (_, limit), level in zip(buckets, levels, strict=True):
                if level + 1 > limit.failures:
                    raise TooManyAttempts(int((level + 1 - limit.failures) * limit.seconds / limit.failures) + 1)
            for (key, _), level in zip(buckets, levels, strict=True):
                self._put(key, level + 1, now)

    def forgive(self, name: str, address: str) -> None:
        """The attempt that began has succeeded: the name's bucket is emptied, the address's loses one."""
        with self._lock:
            now = self._clock()
            (by_name, _), (by_address, limit) = self._of(name, address)
            self._buckets.pop(by_name, None)
            self._put(by_address, max(0.0, self._level(by_address, limit, now) - 1), now)

    def _of(self, name: str, address: str) -> Sequence[tuple[tuple[str, str], Limit]]:
        network = _network(address)
        return ((name[:128], network), self._limits[0]), (("", network), self._limits[1])

    def _level(self, key: tuple[str, str], limit: Limit, now: float) -> float:
        level, at = self._buckets.get(key, (0.0, now))
        return max(0.0, level - (now - at) * limit.failures / limit.seconds)

    def _put(self, key: tuple[str, str], level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)


def _network(address: str) -> str:
    """An IPv6 host owns its whole /64, so that is what is counted."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))
