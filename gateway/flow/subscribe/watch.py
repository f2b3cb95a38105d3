"""watch: the watcher that writes down, inside the writing transaction, who is to hear of a write.

What was committed is told of, and what is told of was committed: events are rows of the same transaction. Which
subscriptions there are is asked of the database each time, for another process may have made one; what they ask for
is read from the sealed resource once for each version.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

from gateway.domain.errors import Conflict, GatewayError
from gateway.domain.ids import new_id
from gateway.domain.resource import Change
from gateway.domain.subscription import Event, Subscriber, SubscriptionState
from gateway.flow.record.open import OpenResources
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.wish import Interest, Wish, read_wish
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

MAX_SUBSCRIPTIONS: Final = 500
_KEPT: Final = 2 * MAX_SUBSCRIPTIONS
KIND: Final = "Subscription"


@dataclass(frozen=True)
class WatchSubscriptions:
    """Implements Watcher. `base` is this server's own FHIR address."""

    opened: OpenResources
    base: str
    _known: OrderedDict[tuple[str, int], Interest | None] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None:
        """A subscription hears of nothing that was written before it, nor of subscriptions."""
        now = datetime.now(UTC)
        others = [change for change in changes if change.stored.type != KIND]
        events = list(self._events(unit, others, now)) if others else []
        if events:
            unit.subscriptions.add_events(events)
        for change in changes:
            if change.stored.type == KIND:
                self._follow(unit, change, now)

    def _events(self, unit: UnitOfWork, changes: Sequence[Change], now: datetime) -> Iterator[Event]:
        for own_id, key, version in unit.subscriptions.watched(now):
            interest = self._interest(unit, own_id, key, version)
            if interest is None:
                continue
            for part, change in enumerate(changes):
                if interest.meets(change, self.base):
                    stored = change.stored
                    yield Event(
                        new_id(), own_id, None, now, part, stored.method, stored.type, stored.id, stored.version
                    )

    def _interest(self, unit: UnitOfWork, own_id: str, key: int, version: int) -> Interest | None:
        """None where what is stored cannot be read any more; the sender says so in the resource."""
        with self._lock:
            if (own_id, version) in self._known:
                return self._known[own_id, version]
        interest = self._read(unit, key)
        with self._lock:
            self._known[own_id, version] = interest
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return interest

    def _read(self, unit: UnitOfWork, key: int) -> Interest | None:
        try:
            (stored,) = unit.resources.of_keys([key])
            return read_wish(parse_json(self.opened.unseen(unit, stored)), Reading(self.base)).interest
        except (GatewayError, ValueError):
            return None

    def _follow(self, unit: UnitOfWork, change: Change, now: datetime) -> None:
        """The row goes with the resource: a new wish begins anew, a change of state alone does not."""
        stored, resource = change.stored, change.resource
        if resource is None:
            unit.subscriptions.forget(stored.id)
            return
        state: SubscriptionState = resource["status"]
        held = unit.subscriptions.get(stored.id)
        changes: dict[str, Any] = {"key": stored.key, "version": stored.version, "state": state}
        if held is None or state == "requested":
            wish = read_wish(resource, Reading(self.base))
            changes |= _begun(wish, now)
        if held is not None:
            unit.subscriptions.follow(stored.id, changes)
            return
        if unit.subscriptions.count() >= MAX_SUBSCRIPTIONS:
            raise Conflict(f"there are {MAX_SUBSCRIPTIONS} subscriptions already; end one first")
        unit.subscriptions.add(
            Subscriber(id=stored.id, numbered=0, sent=0, attempt=0, lease_until=None, last_error=None, **changes)
        )


def _begun(wish: Wish, now: datetime) -> dict[str, Any]:
    return {
        "greeted": False,
        "endpoint": hashlib.sha256(wish.endpoint.encode()).digest(),
        "failures": 0,
        "due_at": now,
        "heartbeat_at": None,
        "ends_at": wish.ends_at,
    }
