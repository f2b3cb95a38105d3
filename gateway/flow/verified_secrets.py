"""Secrets that were right a moment ago, so that HTTP Basic does not pay for scrypt with every request."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.domain.access import Client


class VerifiedSecrets:
    """Keeps keyed digests of client, secret and stored hash; a changed hash or a disabled client is not found again."""

    def __init__(
        self, seconds: float = 60.0, capacity: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._capacity, self._clock = seconds, capacity, clock
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, client: Client, secret: str) -> None:
        with self._lock:
            self._until[self._digest(client, secret)] = self._clock() + self._seconds
            while len(self._until) > self._capacity:
                self._until.popitem(last=False)

    def has(self, client: Client, secret: str) -> bool:
        with self._lock:
            return self._until.get(self._digest(client, secret), 0.0) > self._clock()

    def _digest(self, client: Client, secret: str) -> bytes:
        words = "\x00".join((client.id, str(client.secret_hash), secret))
        return hmac.digest(self._key, words.encode("utf-8", "surrogatepass"), "sha256")
