"""A reading unit of work that keeps its audit entries aside, to be written before the answer leaves.

The vault writes an audit row for every opening into its caller's unit. A FHIR read would so hold the database's
write lock while it decrypts and renders; this way the lock is held for the rows alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from gateway.domain.audit import AuditEntry, AuditQuery, AuditRow
from gateway.domain.errors import Fault
from gateway.ports import (
    Access,
    Agreements,
    AuditTrail,
    BulkJobs,
    Clearances,
    Deliveries,
    Erasures,
    Governance,
    Identities,
    KeyRows,
    Messages,
    Models,
    PixelTasks,
    Quotas,
    Recalls,
    Records,
    Reindexings,
    Reports,
    ResourceIndex,
    Resources,
    Reviews,
    Studies,
    Subscriptions,
    Tasks,
    UnitOfWork,
)


class NotedAudit:
    """The AuditTrail port; `record` only gathers."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        self.entries: list[AuditEntry] = []

    def record(
        self, event: str, subject_id: str, actor: str, **details: str | int | float | bool | list[str] | None
    ) -> None:
        self.entries.append(AuditEntry(event, subject_id, actor, details))

    def copy_to(self, unit: UnitOfWork) -> None:
        """Writes what was gathered into a unit that commits."""
        for entry in self.entries:
            unit.audit.record(entry.event, entry.subject_id, entry.actor, **entry.details)

    def openings(self) -> dict[str, set[str]]:
        """Of which patients each actor has had the identity opened."""
        opened: dict[str, set[str]] = {}
        for entry in self.entries:
            if entry.event == "identity:open":
                opened.setdefault(entry.actor, set()).add(entry.subject_id)
        return opened

    def head(self) -> tuple[int, bytes]:
        return self._trail.head()

    def rows(self, *, after_seq: int = 0, limit: int = 1000) -> Iterable[AuditRow]:
        return self._trail.rows(after_seq=after_seq, limit=limit)

    def newest(
        self,
        *,
        limit: int,
        before_seq: int | None = None,
        event: str | None = None,
        subject_id: str | None = None,
    ) -> list[AuditRow]:
        return self._trail.newest(limit=limit, before_seq=before_seq, event=event, subject_id=subject_id)

    def search(self, query: AuditQuery, *, limit: int, before_seq: int | None = None) -> list[AuditRow]:
        return self._trail.search(query, limit=limit, before_seq=before_seq)

    def count(self, query: AuditQuery, limit: int) -> int:
        return self._trail.count(query, limit)


class NotedReading:
    """The UnitOfWork port over a unit that reads."""

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit
        self.audit = NotedAudit(unit.audit)

    @property
    def studies(self) -> Studies:
        return self._unit.studies

    @property
    def clearances(self) -> Clearances:
        return self._unit.clearances

    @property
    def pixel_tasks(self) -> PixelTasks:
        return self._unit.pixel_tasks

    @property
    def models(self) -> Models:
        return self._unit.models

    @property
    def tasks(self) -> Tasks:
        return self._unit.tasks

    @property
    def reports(self) -> Reports:
        return self._unit.reports

    @property
    def reviews(self) -> Reviews:
        return self._unit.reviews

    @property
    def recalls(self) -> Recalls:
        return self._unit.recalls

    @property
    def governance(self) -> Governance:
        return self._unit.governance

    @property
    def agreements(self) -> Agreements:
        return self._unit.agreements

    @property
    def deliveries(self) -> Deliveries:
        return self._unit.deliveries

    @property
    def identities(self) -> Identities:
        return self._unit.identities

    @property
    def quotas(self) -> Quotas:
        return self._unit.quotas

    @property
    def key_rows(self) -> KeyRows:
        return self._unit.key_rows

    @property
    def erasures(self) -> Erasures:
        return self._unit.erasures

    @property
    def resources(self) -> Resources:
        return self._unit.resources

    @property
    def records(self) -> Records:
        return self._unit.records

    @property
    def resource_index(self) -> ResourceIndex:
        return self._unit.resource_index

    @property
    def subscriptions(self) -> Subscriptions:
        return self._unit.subscriptions

    @property
    def bulk_jobs(self) -> BulkJobs:
        return self._unit.bulk_jobs

    @property
    def messages(self) -> Messages:
        return self._unit.messages

    @property
    def reindexings(self) -> Reindexings:
        return self._unit.reindexings

    @property
    def access(self) -> Access:
        return self._unit.access

    def commit(self) -> None:
        raise Fault("this unit of work only reads")

    def __enter__(self) -> NotedReading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
