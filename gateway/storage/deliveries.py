"""Deliveries as rows (port `Deliveries`): a report version on its way to one destination.

Like a task, a delivery is held by lease, and its attempt number fences off whoever held it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, exists, or_, select

from gateway.domain.errors import Missing
from gateway.domain.ids import DeliveryId, ReportId
from gateway.domain.lifecycle import DELIVERY
from gateway.domain.report import Delivery, Report, delivery_id
from gateway.storage import tables
from gateway.storage.arrivals import lock_study
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

_delivery = tables.delivery.c
_COLUMNS = tuple(_delivery[field.name] for field in fields(Delivery))
_report = tables.report.c
_REPORT_COLUMNS = tuple(_report[field.name] for field in fields(Report))
_TOLD = 300  # characters of an acknowledgement in the audit trail; it begins with the strategy
_earlier = tables.delivery.alias("earlier")
_IS_BEHIND = exists().where(
    _earlier.c.destination == _delivery.destination,
    _earlier.c.patient == _delivery.patient,
    _earlier.c.state.in_(("pending", "sending")),
    or_(
        _earlier.c.planned_at < _delivery.planned_at,
        and_(_earlier.c.planned_at == _delivery.planned_at, _earlier.c.id < _delivery.id),
    ),
)
"""Something planned earlier for the same patient and destination is still on its way; what is dead holds up nobody."""


class SqlDeliveries:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def plan(self, report: Report, destinations: Sequence[str], at: datetime) -> list[Delivery]:
        """One for each destination; one that is planned already is returned as it stands.

        What waits there of an earlier version is superseded, so that nothing stands behind what nobody will send.
        """
        for earlier in self.of_report(report.id):
            if earlier.version < report.version and earlier.state == "pending":
                self.supersede(earlier)
        patient = self._transaction.first(select(tables.study.c.patient).where(tables.study.c.id == report.study_id))
        pseudonym = str(patient[0]) if patient else ""
        return [self._plan(report, destination, pseudonym, at) for destination in destinations]

    def due(self, destination: str, now: datetime, limit: int) -> list[Delivery]:
        """Waiting ones whose time has come, and those whose sender has let the lease expire; longest due first."""
        waiting = and_(_delivery.state == "pending", _delivery.due_at <= now, ~_IS_BEHIND)
        abandoned = and_(_delivery.state == "sending", _delivery.lease_until <= now)
        found = select(*_COLUMNS).where(_delivery.destination == destination, or_(waiting, abandoned))
        return self._deliveries(found.order_by(_delivery.due_at, _delivery.id).limit(limit))

    def attempt(self, delivery_id: DeliveryId, now: datetime, lease_until: datetime) -> Delivery | None:
        """The delivery with the next attempt, or None where it is not due or another holds a living lease."""
        delivery = self._find(delivery_id)
        if delivery is None or delivery.state not in ("pending", "sending"):
            return None
        due = _delivery.due_at <= now if delivery.state == "pending" else _delivery.lease_until <= now
        changes = {"attempt": delivery.attempt + 1, "lease_until": lease_until}
        told: dict[str, str | int | None] = {"attempt": delivery.attempt + 1, "destination": delivery.destination}
        return self._find(delivery_id) if self._move(delivery, "attempt", changes, told, due) else None

    def acknowledge(self, delivery: Delivery, acknowledgement: str) -> bool:
        changes = {"acknowledgement": acknowledgement, "last_error": None, "lease_until": None}
        told: dict[str, str | int | None] = {"attempt": delivery.attempt, "destination": delivery.destination}
        return self._move(delivery, "acknowledge", changes, told | {"answer": acknowledgement[:_TOLD]})

    def defer(self, delivery: Delivery, until: datetime, error: str) -> bool:
        changes = {"due_at": until, "last_error": error, "lease_until": None}
        return self._move(delivery, "defer", changes, {"reason": error})

    def bury(self, delivery: Delivery, error: str) -> bool:
        return self._move(delivery, "bury", {"last_error": error, "lease_until": None}, {"reason": error})

    def supersede(self, delivery: Delivery) -> bool:
        return self._move(delivery, "supersede", {"lease_until": None})

    def of_report(self, report_id: ReportId) -> list[Delivery]:
        mine = select(*_COLUMNS).where(_delivery.report_id == report_id)
        return self._deliveries(mine.order_by(_delivery.version, _delivery.destination))

    def replay(self, delivery_id: DeliveryId, now: datetime) -> bool:
        """Due again at once, as the newest version: not every version is planned for every destination.

        Missing for an unknown id, Conflict where it is still under way.
        """
        delivery = self._find(delivery_id)
        if delivery is None:
            raise Missing("no such delivery")
        newest = self._head(delivery.report_id)
        is_old = delivery.version < newest.version
        stays = is_old and delivery.state == "acknowledged"  # who has had which version is asked in a recall
        if not stays and not self._move(delivery, "replay", {"due_at": now}):
            return False
        if is_old:
            (planned,) = self.plan(newest, [delivery.destination], now)
            if (planned.state, "replay") in DELIVERY.moves:
                return self._move(planned, "replay", {"due_at": now})
        return True

    def _head(self, report_id: ReportId) -> Report:
        """The report with its study locked: whoever writes a version meanwhile sees what is planned here."""
        study_id = self._transaction.all(select(_report.study_id).where(_report.id == report_id))[0][0]
        lock_study(self._transaction, study_id)
        return Report(*self._transaction.all(select(*_REPORT_COLUMNS).where(_report.id == report_id))[0])

    def _plan(self, report: Report, destination: str, patient: str, at: datetime) -> Delivery:
        planned = Delivery(
            delivery_id(report.id, report.version, destination),
            report.id,
            report.version,
            destination,
            DELIVERY.initial,
            0,
            at,
            patient=patient,
            planned_at=at,
        )
        if self._transaction.insert_new(tables.delivery, vars(planned)):
            self._transaction.record(
                "delivery:plan", planned.id, report=report.id, version=report.version, destination=destination
            )
            return planned
        found = self._find(planned.id)
        return found or planned

    def _move(
        self,
        delivery: Delivery,
        event: str,
        changes: Mapping[str, Any],
        details: Mapping[str, str | int | None] | None = None,
        *guards: Any,
    ) -> bool:
        """A move by the holder of the delivery's present attempt."""
        told = details or {"attempt": delivery.attempt, "destination": delivery.destination}
        mine = _delivery.attempt == delivery.attempt
        return move(
            self._transaction,
            DELIVERY,
            delivery.id,
            delivery.state,
            event,
            mine,
            *guards,
            changes=changes,
            details=told,
        )

    def _find(self, wanted: DeliveryId) -> Delivery | None:
        found = self._deliveries(select(*_COLUMNS).where(_delivery.id == wanted))
        return found[0] if found else None

    def _deliveries(self, found: Select[*tuple[Any, ...]]) -> list[Delivery]:
        return [Delivery(*row) for row in self._transaction.all(found)]
