"""Bearer tokens that were looked up a moment ago, so that not every request of a client asks the database again.

What is kept is who holds the token; whether it serves here and now (expiry, network, certificate) is judged at every
request. A client or person that another process stops, and a token that it takes back, are out after `SECONDS`; what
this process takes back is out at once. Half of that time over, one request asks anew while the others go on: else all
that are under way at the end would ask together, and wait for each other.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.domain.access import Caller, Grant, Person

SECONDS = 2.0
FRESH_SECONDS = SECONDS / 2
_MOST = 10_000


@dataclass(frozen=True)
class Holder:
    """Who holds a token: the client with the scopes of the token, and the person for whom it acts."""

    grant: Grant
    client: Caller
    person: Person | None


@dataclass
class _Known:
    holder: Holder
    read_at: float
    is_renewed: bool = False  # somebody is asking anew


class KnownGrants:
    """By the hash of the token, in bounded memory of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._era = 0
        self._lock = threading.Lock()

    def find(self, token_hash: bytes) -> Holder | None:
        """None where the database must be asked; of those that find one no longer fresh, the first is told so."""
        found, now = self._known.get(token_hash), self._clock()
        if found is None or now - found.read_at >= SECONDS:
            return None
        if now - found.read_at < FRESH_SECONDS:
            return found.holder
        with self._lock:
            is_first, found.is_renewed = not found.is_renewed, True
        return None if is_first else found.holder

    def fresh(self, token_hash: bytes) -> Holder | None:
        """The same for who is about to ask the database: what others have asked while he waited for his turn."""
        found = self._known.get(token_hash)
        return found.holder if found is not None and self._clock() - found.read_at < FRESH_SECONDS else None

    @property
    def era(self) -> int:
        """To be read before the database is asked; see `keep`."""
        return self._era

    def keep(self, holder: Holder, era: int) -> None:
        """Unless something was taken back since `era`: what was read then may be what was taken."""
        with self._lock:
            if era != self._era:
                return
            self._known[holder.grant.token_hash] = _Known(holder, self._clock())
            self._known.move_to_end(holder.grant.token_hash)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self) -> None:
        """After something was taken back, all are asked for again: it seldom happens."""
        with self._lock:
            self._era += 1
            self._known.clear()
