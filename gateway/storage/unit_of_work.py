"""One transaction over all repositories; leaving the block without `commit` rolls back.

The audit entries that it gathers are chained as the last statement before the commit, so that a state and the row
that tells of it are durable together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from gateway.domain.errors import Fault
from gateway.storage.access import SqlAccess
from gateway.storage.audit_trail import AuditKey, SqlAuditTrail
from gateway.storage.clearances import SqlClearances
from gateway.storage.deliveries import SqlDeliveries
from gateway.storage.erasures import SqlErasures
from gateway.storage.failures import translated
from gateway.storage.identities import SqlIdentities
from gateway.storage.key_rows import SqlKeyRows
from gateway.storage.models import SqlModels
from gateway.storage.pixel_tasks import SqlPixelTasks
from gateway.storage.quotas import SqlQuotas
from gateway.storage.records import SqlRecords
from gateway.storage.reports import SqlReports
from gateway.storage.resources import SqlResources
from gateway.storage.studies import SqlStudies
from gateway.storage.tasks import SqlTasks
from gateway.storage.transaction import Transaction
from gateway.storage.write_lock import NoLock, WriteLock


class SqlUnitOfWork:
    """Made by SqlDatabase. `lock` is None for a unit of work that only reads."""

    def __init__(
        self,
        engine: Engine,
        key: Callable[[], AuditKey],
        actor: str,
        now: Callable[[], datetime],
        lock: WriteLock | NoLock | None,
    ) -> None:
        self._engine = engine
        self._key = key
        self._actor = actor
        self._now = now
        self._lock = lock
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        if self._connection is not None:
            raise Fault("a unit of work is entered once")
        if self._lock is not None:
            self._lock.acquire()
        try:
            with translated():
                self._connection = self._engine.connect()
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
        self.audit.chain()
        with translated():
            self._open.commit()

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
        if self._connection is None or self._connection.closed:
            raise Fault("this unit of work is not open")
        return self._connection

    def _close(self) -> None:
        try:
            if self._connection is not None:
                with translated():
                    self._connection.close()
        finally:
            if self._lock is not None:
                self._lock.release()
