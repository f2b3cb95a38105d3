"""A driver's errors become the gateway's, and no row value reaches their text."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg.errors
import pytest
from harness.rows import patient_row
from sqlalchemy import insert, text
from sqlalchemy.exc import DataError, OperationalError

from gateway.domain.errors import Busy, Conflict, Fault, GatewayError, Invalid, Unavailable
from gateway.storage import tables
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase, parse_url
from gateway.storage.failures import gateway_error
from gateway.storage.write_lock import WriteLock

KEY = AuditKey("test-1", b"k" * 32)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("SQLITE_FULL", Unavailable),
        ("SQLITE_READONLY_DBMOVED", Unavailable),
        ("SQLITE_IOERR_FSYNC", Unavailable),
        ("SQLITE_BUSY", Unavailable),
        ("SQLITE_CORRUPT_INDEX", Unavailable),
        ("SQLITE_CONSTRAINT_UNIQUE", Conflict),
        ("SQLITE_CONSTRAINT_CHECK", Fault),
        ("SQLITE_ERROR", Fault),
    ],
)
def test_sqlite_codes(name: str, kind: type[GatewayError]) -> None:
    """Each of SQLite's result codes has its category, and the message is the code alone."""
    cause = sqlite3.OperationalError("secret value")
    cause.sqlite_errorname = name
    error = gateway_error(OperationalError("INSERT", {"name": "secret"}, cause))
    assert type(error) is kind
    assert str(error) == f"the database answered {name}"


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (psycopg.errors.DiskFull("secret"), Unavailable),
        (psycopg.errors.AdminShutdown("secret"), Unavailable),
        (psycopg.errors.ReadOnlySqlTransaction("secret"), Unavailable),
        (psycopg.errors.LockNotAvailable("secret"), Unavailable),
        (psycopg.errors.DeadlockDetected("secret"), Busy),
        (psycopg.errors.UniqueViolation("secret"), Conflict),
        (psycopg.errors.CheckViolation("secret"), Fault),
        (psycopg.errors.NumericValueOutOfRange("secret"), Invalid),
        (psycopg.errors.InsufficientPrivilege("secret"), Fault),
        (psycopg.errors.UndefinedTable("secret"), Unavailable),
        (psycopg.OperationalError("secret: connection refused"), Unavailable),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL: secret"), Invalid),
    ],
)
def test_postgresql_codes(cause: Exception, kind: type[GatewayError]) -> None:
    """Each SQLSTATE has its category; a lost connection is Unavailable; the server's text is not repeated."""
    wrapper = DataError if isinstance(cause, psycopg.DataError) else OperationalError
    error = gateway_error(wrapper("INSERT", {"name": "secret"}, cause))
    assert type(error) is kind
    assert "secret" not in str(error)


def test_no_row_value_in_a_real_error(sqlite_database: SqlDatabase) -> None:
    """A violated constraint names no value, neither in its text nor in a printed cause."""
    row = {"pseudonym": "planted-value", "wrapped_object_key": b"x"}
    with sqlite_database.begin("tester") as unit:
        unit._transaction.execute(insert(tables.patient), row)
        with pytest.raises(Conflict) as caught:
            unit._transaction.execute(insert(tables.patient), row)
    assert str(caught.value) == "the database answered SQLITE_CONSTRAINT_PRIMARYKEY"
    assert caught.value.__suppress_context__


def test_a_full_database_is_unavailable_and_recovers(sqlite_database: SqlDatabase) -> None:
    """Where the file may not grow a write is Unavailable, nothing of it stays, and later writes succeed."""

    def add(name: str, size: int) -> None:
        with sqlite_database.begin("tester") as unit:
            connection = unit._transaction._connection
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count = {pages + 8 if size > 9 else 1 << 30}"))
            row = patient_row(name)
            values = {"pseudonym": row.pseudonym, "wrapped_object_key": b"x" * size}
            unit._transaction.execute(insert(tables.patient), values)
            unit.commit()

    with pytest.raises(Unavailable, match="SQLITE_FULL"):
        add("big", 1 << 20)
    add("small", 9)
    with sqlite_database.read() as unit:
        assert unit.identities.object_key(patient_row("small").pseudonym) == b"x" * 9


def test_an_unreachable_server_is_unavailable() -> None:
    """Where no PostgreSQL answers, a unit of work is Unavailable, and the message holds no address or password."""
    database = SqlDatabase("postgresql://user:password@127.0.0.1:9/none", KEY)
    with pytest.raises(Unavailable, match=r"^the database cannot be reached$"):
        database.ping()


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "not a url"])
def test_other_urls_are_invalid(url: str) -> None:
    """Only SQLite on a file and PostgreSQL are databases."""
    with pytest.raises(Invalid):
        parse_url(url)


def test_a_lock_that_does_not_come_is_unavailable(tmp_path: Path) -> None:
    """A thread that waits too long for its turn to write is Unavailable."""
    lock = WriteLock(tmp_path / "lock", seconds=0.05)
    lock.acquire()
    with pytest.raises(Unavailable, match="locked"):
        lock.acquire()
    lock.release()
    lock.acquire()
    lock.release()


def test_a_lock_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A missing folder is Unavailable each time, not a lock held for ever."""
    lock = WriteLock(tmp_path / "missing" / "lock", seconds=0.05)
    for _ in range(2):
        with pytest.raises(Unavailable, match="errno"):
            lock.acquire()
