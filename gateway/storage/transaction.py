"""One open transaction as the repositories see it: statements in, rows out, audit entries on the side.

It exists so that every statement has its errors translated, no reading transaction writes, and every audit entry
of a unit of work is kept until the commit chains it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, CursorResult, Executable, Row, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.domain.audit import AuditEntry
from gateway.domain.errors import Fault
from gateway.storage.failures import translated
from gateway.storage.libpq import COMMIT, Question, ask, has_failed
from gateway.storage.prepared import Compiled, Prepared, Values

AnyRow = Row[*tuple[Any, ...]]

_INSERT_NEW: dict[tuple[str, str], Executable] = {}


class Transaction:
    """`actor` stands in the audit rows of state changes; `now` is the clock of those rows."""

    def __init__(self, connection: Connection, actor: str, now: Callable[[], datetime], *, writes: bool) -> None:
        self.actor = actor
        self.now = now
        self.entries: list[tuple[datetime, AuditEntry]] = []
        self._using: Connection | None = connection
        self._writes = writes
        self.is_postgresql = connection.dialect.name == "postgresql"

    def end(self) -> None:
        """Nobody reaches the connection through this transaction any more: it may have another by then."""
        self._using = None

    @property
    def _connection(self) -> Connection:
        if self._using is None:
            raise Fault("this unit of work is not open")
        return self._using

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]]:
        """Runs one statement. A GatewayError on failure; Fault where a reading unit of work would write."""
        if not self._writes and getattr(statement, "is_dml", False):
            raise Fault("this unit of work only reads")
        with translated():
            return self._connection.execute(statement, parameters)

    def first(self, statement: Executable, parameters: Any = None) -> AnyRow | None:
        with translated():
            return self._connection.execute(statement, parameters).first()

    def all(self, statement: Executable, parameters: Any = None) -> Sequence[AnyRow]:
        with translated():
            return self._connection.execute(statement, parameters).all()

    def run(self, statement: Prepared, values: Values) -> int:
        """Runs a prepared statement that writes; the count of rows."""
        with translated():
            return int(self._writing(statement).run(self._connection, values).rowcount)

    def run_many(self, statement: Prepared, rows: Sequence[Values]) -> int:
        """Runs a prepared statement that writes, for all rows at once or for each; the count of rows of all."""
        with translated():
            return self._writing(statement).run_many(self._connection, rows)

    def row(self, statement: Prepared, values: Values, *, lock: int | None = None) -> tuple[Any, ...] | None:
        """The first row of a prepared query; on PostgreSQL once `lock` is had, as by `serialize`."""
        with translated():
            compiled = statement.on(self._connection)
            before = [_advisory(self._connection, lock)] if lock is not None and self.is_postgresql else []
            raw = compiled.run(self._connection, values, before).fetchone()
            return None if raw is None else compiled.row(raw)

    def rows(self, statement: Prepared, values: Values) -> list[tuple[Any, ...]]:
        """All rows of a prepared query."""
        with translated():
            compiled = statement.on(self._connection)
            return [compiled.row(raw) for raw in compiled.run(self._connection, values).fetchall()]

    def _writing(self, statement: Prepared) -> Compiled:
        if not self._writes:
            raise Fault("this unit of work only reads")
        return statement.on(self._connection)

    def insert_new(self, table: Table, values: Mapping[str, Any]) -> bool:
        """INSERT ... ON CONFLICT DO NOTHING; False where another row holds a unique place."""
        key = (self._connection.dialect.name, table.name)
        statement = _INSERT_NEW.get(key)
        if statement is None:
            insert = postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)
            statement = _INSERT_NEW[key] = insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
        return self.execute(statement, values).rowcount == 1

    def record(self, event: str, subject_id: str, /, **details: str | int | float | bool | list[str] | None) -> None:
        """Keeps an audit entry in the name of this transaction's actor, to be chained at commit."""
        self.keep(AuditEntry(event, subject_id, self.actor, details))

    def keep(self, entry: AuditEntry) -> None:
        if not self._writes:
            raise Fault("this unit of work only reads; what must be audited needs one that commits")
        self.entries.append((self.now(), entry))

    def serialize(self, lock: int) -> None:
        """On PostgreSQL waits for `lock` until the transaction ends; SQLite has one writer anyway."""
        if self.is_postgresql:
            with translated():
                ask(self._connection, [_advisory(self._connection, lock)])

    def hold_off(self, lock: int) -> None:
        """Whoever would `serialize` on `lock` waits until this transaction ends; others that hold it off do not."""
        if self.is_postgresql:
            with translated():
                ask(self._connection, [_ADVISORY_SHARED.on(self._connection).question({"lock": lock})])

    def commit(self, last: Iterable[tuple[Prepared, Sequence[Values]]]) -> None:
        """Durable when it returns. `last`: rows to insert, which on PostgreSQL take the same round trip."""
        connection = self._connection
        with translated():
            if self.is_postgresql:
                questions = [each for insert, rows in last for each in self._writing(insert).questions(rows)]
                if questions:
                    ask(connection, [*questions, COMMIT])
                elif has_failed(connection):
                    raise Fault("a statement of this unit of work has failed, so that nothing of it can be committed")
            else:
                for insert, rows in last:
                    self._writing(insert).run_many(connection, rows)
            connection.commit()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What fails inside the block leaves neither rows nor audit entries; what came before stays."""
        kept = len(self.entries)
        with translated():
            nested = self._connection.begin_nested()
        try:
            yield
        except BaseException:
            del self.entries[kept:]
            with translated():
                nested.rollback()
            raise
        with translated():
            nested.commit()


# Names of PostgreSQL advisory locks (wire law: releases that run side by side must agree on them)
AUDIT_LOCK = 0x6478_0001
MODEL_LOCK = 0x6478_0002
MIGRATE_LOCK = 0x6478_0003
JOB_LOCK = 0x6478_0005
RESOURCE_LOCK = 0x6478_0004 << 32  # with 32 bits of what is locked: conditions of the FHIR store
_ADVISORY_LOCK = Prepared(select(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger))))
_ADVISORY_SHARED = Prepared(select(func.pg_advisory_xact_lock_shared(bindparam("lock", type_=BigInteger))))


def _advisory(connection: Connection, lock: int) -> Question:
    return _ADVISORY_LOCK.on(connection).question({"lock": lock})
