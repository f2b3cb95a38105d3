"""Subscriptions and their events, as rows (port `Subscriptions`).

A writer only inserts events; who sends them numbers them, so that numbers have no gap and no writer waits for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, exists, or_, select, update

from gateway.domain.subscription import Event, Subscriber
from gateway.storage.columns import UtcTime
from gateway.storage.prepared import Prepared, insert_rows
from gateway.storage.subscription_tables import vault_subscription, vault_subscription_event
from gateway.storage.transaction import Transaction

_one, _event = vault_subscription.c, vault_subscription_event.c
_SUBSCRIBERS = select(*(_one[field.name] for field in fields(Subscriber)))
_EVENTS = select(*(_event[field.name] for field in fields(Event)))
_LIVING = _one.state != "off"
_WATCHED = Prepared(
    select(_one.id, _one.key, _one.version).where(
        _LIVING, or_(_one.ends_at.is_(None), _one.ends_at > bindparam("now", type_=UtcTime))
    )
)
_ADD = insert_rows(vault_subscription_event)
_NUMBERED_AT_ONCE = 1000


class SqlSubscriptions:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def watched(self, now: datetime) -> list[tuple[str, int, int]]:
        return [(row[0], row[1], row[2]) for row in self._transaction.rows(_WATCHED, {"now": now})]

    def get(self, own_id: str) -> Subscriber | None:
        row = self._transaction.first(_SUBSCRIBERS.where(_one.id == own_id))
        return None if row is None else Subscriber(*row)

    def add(self, subscriber: Subscriber) -> None:
        self._transaction.execute(vault_subscription.insert(), asdict(subscriber))

    def follow(self, own_id: str, changes: Mapping[str, Any]) -> bool:
        changed = self._transaction.execute(update(vault_subscription).where(_one.id == own_id).values(dict(changes)))
        return changed.rowcount == 1

    def forget(self, own_id: str) -> None:
        self._transaction.execute(delete(vault_subscription_event).where(_event.subscription == own_id))
        self._transaction.execute(delete(vault_subscription).where(_one.id == own_id))

    def add_events(self, events: Sequence[Event]) -> None:
        self._transaction.run_many(_ADD, [asdict(event) for event in events])

    def due(self, now: datetime, limit: int) -> list[Subscriber]:
        waiting = exists().where(
            _event.subscription == _one.id, or_(_event.number.is_(None), _event.number > _one.sent)
        )
        wanted = or_(_one.greeted.is_(False), _one.heartbeat_at <= now, _one.ends_at <= now, waiting)
        free = or_(_one.lease_until.is_(None), _one.lease_until <= now)
        found = _SUBSCRIBERS.where(_LIVING, _one.due_at <= now, free, wanted).order_by(_one.due_at, _one.id)
        return [Subscriber(*row) for row in self._transaction.all(found.limit(limit))]

    def claim(self, waiting: Subscriber, now: datetime, lease_until: datetime) -> Subscriber | None:
        mine = and_(_one.id == waiting.id, _one.attempt == waiting.attempt, _LIVING)
        taken = {"attempt": waiting.attempt + 1, "lease_until": lease_until}
        if self._transaction.execute(update(vault_subscription).where(mine).values(taken)).rowcount != 1:
            return None
        self._number(waiting.id)
        return self.get(waiting.id)

    def progress(self, held: Subscriber, changes: Mapping[str, Any]) -> bool:
        mine = and_(_one.id == held.id, _one.attempt == held.attempt)
        return self._transaction.execute(update(vault_subscription).where(mine).values(dict(changes))).rowcount == 1

    def events(self, own_id: str, after: int, until: int, limit: int) -> list[Event]:
        found = _EVENTS.where(_event.subscription == own_id, _event.number > after, _event.number <= until)
        return [Event(*row) for row in self._transaction.all(found.order_by(_event.number).limit(limit))]

    def drop_sent(self, before: datetime) -> int:
        sent = select(_one.sent).where(_one.id == _event.subscription).scalar_subquery()
        old = delete(vault_subscription_event).where(_event.at < before, _event.number <= sent)
        return int(self._transaction.execute(old).rowcount)

    def count(self) -> int:
        return len(self._transaction.all(select(_one.id).where(_LIVING)))

    def _number(self, own_id: str) -> None:
        """In the order in which the writes were made; the row of the subscription is locked by then."""
        fresh = select(_event.id).where(_event.subscription == own_id, _event.number.is_(None))
        rows = self._transaction.all(fresh.order_by(_event.at, _event.part, _event.id).limit(_NUMBERED_AT_ONCE))
        if not rows:
            return
        held = self.get(own_id)
        first = 1 + (held.numbered if held is not None else 0)
        for number, row in enumerate(rows, start=first):
            self._transaction.execute(update(vault_subscription_event).where(_event.id == row.id).values(number=number))
        last = {"numbered": first + len(rows) - 1}
        self._transaction.execute(update(vault_subscription).where(_one.id == own_id).values(last))
