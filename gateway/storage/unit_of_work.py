"""One transaction over all repositories; leaving the block without `commit` rolls back.

The audit entries that it gathers are chained as the last rows before the commit, so that a state and the row
that tells of it are durable together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from threading import Lock
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from gateway.domain.errors import Fault
from gateway.storage.access import SqlAccess
from gateway.storage.agreements import SqlAgreements
from gateway.storage.audit_trail import AuditKey, SqlAuditTrail
from gateway.storage.bulk_jobs import SqlBulkJobs
from gateway.storage.clearances import SqlClearances
from gateway.storage.deliveries import SqlDeliveries
from gateway.storage.erasures import SqlErasures
from gateway.storage.failures import translated
from gateway.storage.governance import SqlGovernance
from gateway.storage.identities import SqlIdentities
from gateway.storage.key_rows import SqlKeyRows
from gateway.storage.messages import SqlMessages
from gateway.storage.models import SqlModels
from gateway.storage.pixel_tasks import SqlPixelTasks
from gateway.storage.quotas import SqlQuotas
from gateway.storage.recalls import SqlRecalls
from gateway.storage.records import SqlRecords
from gateway.storage.reindexings import SqlReindexings
from gateway.storage.reports import SqlReports
from gateway.storage.resource_index import IndexSettings, SqlResourceIndex
from gateway.storage.resources import SqlResources
from gateway.storage.reviews import SqlReviews
from gateway.storage.studies import SqlStudies
from gateway.storage.subscriptions import SqlSubscriptions
from gateway.storage.tasks import SqlTasks
from gateway.storage.transaction import Transaction
from gateway.storage.write_lock import NoLock, WriteLock


class KeptConnection:
    """The one connection of a database that lets one unit write at a time: opened once, handed from unit to unit.

    Only who holds the write lock takes it or puts it back, so there is never more than one.
    """

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._closed = False
        self._guard = Lock()

    def take(self) -> Connection | None:
        with self._guard:
            connection, self._connection = self._connection, None
            return connection

    def keep(self, connection: Connection) -> None:
        """For the next unit; closed where nobody will come any more."""
        with self._guard:
            if not self._closed:
                self._connection = connection
                return
        connection.close()

    def close(self) -> None:
        with self._guard:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SqlUnitOfWork:
    """Made by SqlDatabase. `lock` is None for a unit of work that only reads."""

    def __init__(
        self,
        engine: Engine,
        key: Callable[[], AuditKey],
        actor: str,
        now: Callable[[], datetime],
        lock: WriteLock | NoLock | None,
        *,
        index: IndexSettings | None = None,
        kept: KeptConnection | None = None,
    ) -> None:
        self._engine = engine
        self._key = key
        self._actor = actor
        self._now = now
        self._lock = lock
        self._index = index
        self._kept = kept
        self._connection: Connection | None = None
        self._committed = False
        self._ended = False

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise Fault("a unit of work is entered once")
        if self._lock is not None:
            self._lock.acquire()
        try:
            with translated():
                self._connection = (self._kept and self._kept.take()) or self._engine.connect()
                self._connection.begin()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def commit(self) -> None:
        """Durable when it returns. Unavailable where the database could not say so."""
        if self._lock is None:
            raise Fault("this unit of work only reads")
        self._transaction.commit(self.audit.chained())
        self._committed = True

    def savepoint(self) -> AbstractContextManager[None]:
        """A block inside the unit that fails alone; see Transaction.savepoint."""
        return self._transaction.savepoint()

    @cached_property
    def studies(self) -> SqlStudies:
        return SqlStudies(self._transaction)

    @cached_property
    def clearances(self) -> SqlClearances:
        return SqlClearances(self._transaction)

    @cached_property
    def pixel_tasks(self) -> SqlPixelTasks:
        return SqlPixelTasks(self._transaction)

    @cached_property
    def models(self) -> SqlModels:
        return SqlModels(self._transaction)

    @cached_property
    def tasks(self) -> SqlTasks:
        return SqlTasks(self._transaction)

    @cached_property
    def reports(self) -> SqlReports:
        return SqlReports(self._transaction)

    @cached_property
    def reviews(self) -> SqlReviews:
        return SqlReviews(self._transaction)

    @cached_property
    def recalls(self) -> SqlRecalls:
        return SqlRecalls(self._transaction)

    @cached_property
    def governance(self) -> SqlGovernance:
        return SqlGovernance(self._transaction)

    @cached_property
    def agreements(self) -> SqlAgreements:
        return SqlAgreements(self._transaction)

    @cached_property
    def deliveries(self) -> SqlDeliveries:
        return SqlDeliveries(self._transaction)

    @cached_property
    def identities(self) -> SqlIdentities:
        return SqlIdentities(self._transaction)

    @cached_property
    def quotas(self) -> SqlQuotas:
        return SqlQuotas(self._transaction)

    @cached_property
    def key_rows(self) -> SqlKeyRows:
        return SqlKeyRows(self._transaction)

    @cached_property
    def erasures(self) -> SqlErasures:
        return SqlErasures(self._transaction)

    @cached_property
    def resources(self) -> SqlResources:
        return SqlResources(self._transaction)

    @cached_property
    def records(self) -> SqlRecords:
        return SqlRecords(self._transaction)

    @cached_property
    def resource_index(self) -> SqlResourceIndex:
        return SqlResourceIndex(self._transaction, self._index)

    @cached_property
    def messages(self) -> SqlMessages:
        return SqlMessages(self._transaction)

    @cached_property
    def reindexings(self) -> SqlReindexings:
        return SqlReindexings(self._transaction)

    @cached_property
    def subscriptions(self) -> SqlSubscriptions:
        return SqlSubscriptions(self._transaction)

    @cached_property
    def bulk_jobs(self) -> SqlBulkJobs:
        return SqlBulkJobs(self._transaction)

    @cached_property
    def access(self) -> SqlAccess:
        return SqlAccess(self._transaction)

    @cached_property
    def audit(self) -> SqlAuditTrail:
        return SqlAuditTrail(self._transaction, self._key)

    @cached_property
    def _transaction(self) -> Transaction:
        return Transaction(self._open, self._actor, self._now, writes=self._lock is not None)

    @property
    def _open(self) -> Connection:
        if self._connection is None or self._ended or self._connection.closed:
            raise Fault("this unit of work is not open")
        return self._connection

    def _close(self) -> None:
        self._ended = True
        if "_transaction" in vars(self):
            self._transaction.end()
        try:
            if self._connection is not None:
                with translated():
                    self._leave(self._connection)
        finally:
            if self._lock is not None:
                self._lock.release()

    def _leave(self, connection: Connection) -> None:
        """A connection that has ended its unit well is kept; one that has not is given up, whatever ails it."""
        if self._kept is None or not self._committed or connection.invalidated or connection.in_transaction():
            connection.close()
        else:
            self._kept.keep(connection)
