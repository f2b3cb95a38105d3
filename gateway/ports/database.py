"""The database: one unit of work over all repositories, and many small writes in one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from gateway.ports.access import Access, AuditTrail
from gateway.ports.analysis import Governance, Models, Tasks
from gateway.ports.bulk import BulkJobs
from gateway.ports.identities import Erasures, Identities, KeyRows, Quotas
from gateway.ports.reports import Agreements, Deliveries, Recalls, Reports, Reviews
from gateway.ports.resources import Messages, Reindexings, ResourceIndex, Resources, Subscriptions
from gateway.ports.studies import Clearances, PixelTasks, Records, Studies

T = TypeVar("T")


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction. Leaving the block without `commit` rolls back."""

    @property
    def studies(self) -> Studies: ...
    @property
    def clearances(self) -> Clearances: ...
    @property
    def pixel_tasks(self) -> PixelTasks: ...
    @property
    def models(self) -> Models: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def recalls(self) -> Recalls: ...
    @property
    def governance(self) -> Governance: ...
    @property
    def agreements(self) -> Agreements: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def identities(self) -> Identities: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def key_rows(self) -> KeyRows: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def records(self) -> Records: ...
    @property
    def resource_index(self) -> ResourceIndex: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def bulk_jobs(self) -> BulkJobs: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def reindexings(self) -> Reindexings: ...
    @property
    def access(self) -> Access: ...
    @property
    def audit(self) -> AuditTrail: ...

    def commit(self) -> None: ...


class Database(Protocol):
    """Opens units of work for one named actor, whose name stands in the audit rows of state changes."""

    @property
    def one_writes(self) -> bool:
        """Whether units that write wait for each other, so that nothing should be done in one that can be before it."""
        ...

    def begin(self, actor: str) -> UnitOfWork: ...

    def read(self) -> UnitOfWork:
        """A unit of work that only reads and takes no write lock; committing it is an error."""
        ...


class GroupCommit(Protocol):
    """Runs many small writes in one transaction and answers each when that transaction is durable."""

    def submit(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> T:
        """What `write` returned, once durable. One that lingers waits a moment for company in its transaction."""
        ...

    def later(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> Future[T]:
        """The same for who waits in another way than by blocking a thread."""
        ...
