"""Key sets of clients and identity providers that are published at an address, kept for a while (RFC 7517 5).

A key that is not in the set that we have makes us ask again, because keys are rotated so; but not more often than
twice a minute, because anybody can name a key that does not exist.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.errors import GatewayError, Unavailable

Fetch = Callable[[str], bytes]
FRESH_SECONDS = 300.0
PAUSE_SECONDS = 30.0
STALE_SECONDS = 3600.0  # how long a set still serves while its address does not answer
MOST_SETS = 200


@dataclass
class _Kept:
    """`asked_at` is the last attempt, `got_at` the last success."""

    text: str | None = None
    got_at: float = 0.0
    asked_at: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class KeySets:
    """`fetch` gives the document at an address, bounded in size and time."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._sets: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def with_key(self, url: str, kid: str) -> str:
        """The set as text, asked for anew where it is old or lacks `kid`; Unavailable where there is none."""
        kept = self._kept(url)
        with kept.lock:
            age = self._clock() - kept.got_at
            if kept.text is None or age > FRESH_SECONDS or not _names(kept.text, kid):
                self._refresh(url, kept)
            if kept.text is None or self._clock() - kept.got_at > STALE_SECONDS:
                raise Unavailable("the key set of this client cannot be fetched")
            return kept.text

    def _refresh(self, url: str, kept: _Kept) -> None:
        now = self._clock()
        if kept.asked_at is not None and now - kept.asked_at < PAUSE_SECONDS:
            return
        kept.asked_at = now
        try:
            kept.text = self._fetch(url).decode("utf-8")
            kept.got_at = now
        except (GatewayError, UnicodeDecodeError):
            return  # what we have serves on, for an hour

    def _kept(self, url: str) -> _Kept:
        with self._lock:
            kept = self._sets.setdefault(url, _Kept())
            self._sets.move_to_end(url)
            while len(self._sets) > MOST_SETS:
                self._sets.popitem(last=False)
            return kept


def _names(text: str, kid: str) -> bool:
    try:
        return any(key.get("kid") == kid for key in json.loads(text)["keys"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return False
