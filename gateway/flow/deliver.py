"""deliver: one attempt at one delivery: identity restored (audited), encoded, sent, acknowledgement stored.

Retries have no limit and back off; only what the destination refuses for good, or what is gone from our own store,
becomes a dead letter. A version that a newer one has overtaken is not sent any more, so that an old text never
overwrites a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.domain.errors import Category, GatewayError
from gateway.domain.report import Delivery
from gateway.flow.read_reports import OpenedReport, ReadReports
from gateway.ports import Database, Outlet

LONGEST_PAUSE = timedelta(minutes=10)
_TRY_AGAIN = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT, Category.CONFLICT})


@dataclass(frozen=True)
class Destination:
    """A configured destination: how to send to it and how long to wait after a failure."""

    name: str
    outlet: Outlet
    first_pause: timedelta
    lease: timedelta


@dataclass(frozen=True)
class DeliverReports:
    """Sends what is due to one destination; each destination has its own thread in the sweeper."""

    database: Database
    reports: ReadReports
    destination: Destination
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, limit: int = 20) -> int:
        """Returns how many deliveries were attempted; stops early where the destination is out."""
        with self.database.read() as unit:
            due = unit.deliveries.due(self.destination.name, self.now(), limit)
        for count, delivery in enumerate(due, start=1):
            if not self._deliver(delivery):
                return count
        return len(due)

    def _deliver(self, waiting: Delivery) -> bool:
        """False where the destination cannot be reached at present."""
        delivery = self._attempt(waiting)
        if delivery is None:
            return True
        try:
            acknowledgement = self.destination.outlet.send(delivery, self._open(delivery))
        except GatewayError as error:
            return self._record_failure(delivery, error.category, f"{error.category.value}: {error}")
        except Exception as error:
            return self._record_failure(delivery, Category.FAULT, f"fault: {type(error).__name__}")
        with self.database.begin(self._actor) as unit:
            unit.deliveries.acknowledge(delivery, acknowledgement)
            unit.commit()
        return True

    def _attempt(self, waiting: Delivery) -> Delivery | None:
        """Committed before anything can fail: a report that cannot be opened must not stand in the way of others."""
        now = self.now()
        with self.database.begin(self._actor) as unit:
            delivery = unit.deliveries.attempt(waiting.id, now, now + self.destination.lease)
            if delivery is None:
                return None
            overtaken = unit.reports.get(delivery.report_id).version > delivery.version
            if overtaken:
                unit.deliveries.supersede(delivery)
            unit.commit()
        return None if overtaken else delivery

    def _open(self, delivery: Delivery) -> OpenedReport:
        with self.database.begin(self._actor) as unit:
            report = unit.reports.get(delivery.report_id)
            document = self.reports.open(unit, report, purpose="delivery", actor=self._actor, version=delivery.version)
            unit.commit()
        return document

    def _record_failure(self, delivery: Delivery, category: Category, reason: str) -> bool:
        with self.database.begin(self._actor) as unit:
            if category in _TRY_AGAIN:
                unit.deliveries.defer(delivery, self.now() + self._pause(delivery.attempt), reason)
            else:
                unit.deliveries.bury(delivery, reason)
            unit.commit()
        return category not in _TRY_AGAIN

    def _pause(self, attempt: int) -> timedelta:
        return min(self.destination.first_pause * (1 << min(attempt - 1, 16)), LONGEST_PAUSE)

    @property
    def _actor(self) -> str:
        return f"deliver:{self.destination.name}"
