"""Statements handed to libpq itself, on a real PostgreSQL."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from conftest import PostgresCluster
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from gateway.domain.errors import Busy, Fault, Unavailable
from gateway.storage import libpq
from gateway.storage.database import parse_url, postgresql_engine
from gateway.storage.failures import translated
from gateway.storage.libpq import COMMIT, Question, ask
from gateway.storage.transaction import Transaction

pytestmark = pytest.mark.peer("postgresql")
INSERT = "INSERT INTO kept VALUES ($1::BIGINT, $2)"
COUNT = Question("SELECT count(*) FROM kept")


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    engine = postgresql_engine(parse_url(postgres_url), 2)
    with engine.connect() as opened:
        opened.execute(text("CREATE TABLE kept (number BIGINT PRIMARY KEY, body BYTEA)"))
        opened.commit()
        yield opened
    engine.dispose()


def test_each_question_has_its_answer(connection: Connection) -> None:
    """Rows and counts of several statements come back in their order, and the transaction is begun and ended."""
    many = [Question(INSERT, [number, bytes([number])]) for number in range(3)]
    *inserted, found, none, _ = ask(
        connection,
        [*many, Question("SELECT body FROM kept WHERE number > $1", [0]), Question("SELECT 1 LIMIT 0"), COMMIT],
    )
    assert [each.rowcount for each in inserted] == [1, 1, 1]
    assert found.fetchall() == [(b"\1",), (b"\2",)]
    assert (none.fetchone(), none.rowcount) == (None, 0)
    connection.rollback()
    assert ask(connection, [COUNT])[0].fetchone() == (3,)


def test_the_first_failure_is_raised_and_ends_all(connection: Connection) -> None:
    """What comes after a statement that fails is not carried out, the commit neither; the connection goes on."""
    taken = Question(INSERT, [1, None])
    with pytest.raises(IntegrityError):
        ask(connection, [taken, taken, Question("DROP TABLE kept"), COMMIT])
    connection.rollback()
    assert ask(connection, [COUNT])[0].fetchone() == (0,)


def test_what_could_not_be_prepared_is_prepared_later(connection: Connection) -> None:
    """A text that comes after a failure is not held for known to the server."""
    later = Question("SELECT number FROM kept WHERE body = $1", [b"x"])
    with pytest.raises(DBAPIError):
        ask(connection, [Question("SELECT nothing FROM nowhere"), later])
    connection.rollback()
    assert ask(connection, [later, later])[1].rows == []


def test_names_outlive_a_rollback_through_sqlalchemy(connection: Connection) -> None:
    """SQLAlchemy's statements and savepoints beside ours, rolled back or not, leave known what was prepared."""
    for number in range(12):
        with connection.begin_nested() as savepoint:
            ask(connection, [Question(INSERT, [number, None])])
            connection.execute(text("SELECT number FROM kept WHERE number = :number"), {"number": number})
            savepoint.rollback()
        connection.rollback()
    assert ask(connection, [COUNT])[0].fetchone() == (0,)


def test_a_server_that_forgot_is_left(connection: Connection) -> None:
    """Where a pooler has dropped what was prepared, the statement fails once, and the next connection knows it anew."""
    ask(connection, [COUNT, COMMIT])
    connection.execute(text("DEALLOCATE ALL"))
    with pytest.raises(DBAPIError):
        ask(connection, [COUNT])
    connection.rollback()
    assert ask(connection, [COUNT])[0].fetchone() == (0,)


def test_a_name_never_means_another_statement(connection: Connection) -> None:
    """Where a pooler has exchanged the server's side for that of a process which began by something else."""
    ask(connection, [COUNT, COMMIT])
    first = connection.execute(text("SELECT name FROM pg_prepared_statements")).scalar_one()
    connection.execute(text("DEALLOCATE ALL"))
    connection.commit()
    connection.info.pop("wire")
    ask(connection, [Question("SELECT 13")])
    assert first not in connection.execute(text("SELECT name FROM pg_prepared_statements")).scalars().all()


def test_a_statement_of_other_types_than_before_is_left(connection: Connection) -> None:
    """Where a migration has changed a column, the statement fails once, and the next connection knows it anew."""
    numbers = Question("SELECT number FROM kept")
    ask(connection, [Question(INSERT, [1, None]), numbers, COMMIT])
    connection.rollback()
    connection.execute(text("ALTER TABLE kept ALTER COLUMN number TYPE TEXT"))
    connection.commit()
    with pytest.raises(DBAPIError):
        ask(connection, [numbers])
    connection.rollback()
    assert ask(connection, [numbers])[0].fetchone() == ("1",)


def test_a_database_of_another_encoding(postgres_cluster: PostgresCluster) -> None:
    """Text comes back as it went, and is stored as what it says, where the database is not in UTF-8."""
    url = postgres_cluster.create()
    engine = postgresql_engine(parse_url(url), 1)
    name = f"latin_{os.urandom(4).hex()}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.execute(text(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0"))
    latin = postgresql_engine(parse_url(url).set(database=name), 1)
    try:
        with latin.connect() as opened:
            asked = Question("SELECT $1::TEXT, length($1::TEXT)", ["Müßig"])
            assert ask(opened, [asked])[0].fetchone() == ("Müßig", 5)
            assert opened.execute(text("SELECT length('ü')")).scalar() == 1
    finally:
        latin.dispose()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text(f"DROP DATABASE {name}"))
        engine.dispose()
        postgres_cluster.drop(url)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (type("Word", (str,), {"__repr__": lambda self: "no"})("a"), "TEXT"),
        (type("Number", (int,), {"__repr__": lambda self: "no"})(7), "BIGINT"),
        (type("Part", (float,), {"__repr__": lambda self: "no"})(0.5), "FLOAT8"),
        (type("Body", (bytes,), {})(b"\0b"), "BYTEA"),
    ],
    ids=["str", "int", "float", "bytes"],
)
def test_values_of_a_class_of_their_own(connection: Connection, value: object, kind: str) -> None:
    """They are written as what they are: a DICOM UID is such a str."""
    assert ask(connection, [Question(f"SELECT $1::{kind}", [value])])[0].fetchone() == (value,)


def test_a_value_that_cannot_be_written(connection: Connection) -> None:
    """It is the driver's error, without the value, and the transaction goes on."""
    ask(connection, [Question(INSERT, [1, None])])
    with pytest.raises(DBAPIError) as refused:
        ask(connection, [Question(INSERT, [object(), None])])
    assert "object" in str(refused.value.orig)
    ask(connection, [COMMIT])
    assert ask(connection, [COUNT])[0].fetchone() == (1,)


def test_a_failed_transaction_is_not_said_to_be_committed(connection: Connection) -> None:
    """PostgreSQL answers such a COMMIT by ROLLBACK and no error, also where a unit has no audit entry to insert."""
    transaction = Transaction(connection, "test", lambda: datetime.now(UTC), writes=True)
    ask(connection, [Question(INSERT, [1, None])])
    with pytest.raises(DBAPIError):
        ask(connection, [Question("SELECT 1/0")])
    with pytest.raises(Fault):
        transaction.commit([])
    connection.rollback()
    ask(connection, [Question(INSERT, [1, None])])
    transaction.commit([])
    assert ask(connection, [COUNT])[0].fetchone() == (1,)


def test_a_unit_ends_with_its_connection(connection: Connection) -> None:
    """What comes after the statement by which a connection was given up hears that the database is out, no crash."""
    ask(connection, [COUNT, COMMIT])
    connection.execute(text("DEALLOCATE ALL"))
    for error in (Busy, Unavailable):
        with pytest.raises(error), translated():
            ask(connection, [COUNT])
    connection.rollback()
    assert ask(connection, [COUNT])[0].fetchone() == (0,)


def test_text_with_a_nul_is_refused_before_it_is_sent(connection: Connection) -> None:
    """libpq would cut the text there; nothing is sent, and the transaction goes on."""
    ask(connection, [Question(INSERT, [1, None])])
    with pytest.raises(DataError):
        ask(connection, [Question("SELECT $1::TEXT", ["a\0b"])])
    ask(connection, [COMMIT])
    assert ask(connection, [COUNT])[0].fetchone() == (1,)


def test_large_values_go_both_ways_at_once(connection: Connection) -> None:
    """Neither side waits for the other where both send more than the network holds."""
    body = bytes(range(256)) * 16 * 1024
    echo = Question("SELECT $1::BYTEA", [body])
    assert [answer.fetchone() for answer in ask(connection, [echo] * 5)] == [(body,)] * 5


def test_more_statements_than_names(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the number that the server keeps for us, statements are asked without a name."""
    monkeypatch.setattr(libpq, "_MOST_NAMED", 3)
    questions = [Question(f"SELECT $1::INTEGER + {number}", [1]) for number in range(9)]
    assert [answer.fetchone() for answer in ask(connection, questions)] == [(1 + number,) for number in range(9)]
    assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 3


def test_a_network_that_falls_silent_is_given_up(postgres_url: str) -> None:
    """The kernel closes a connection whose peer answers no more, so that a wait in libpq ends; the URL may say else."""
    asked = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    for query, told in (("", [10, 5, 3, 20_000]), ("?keepalives_idle=77&tcp_user_timeout=9000", [77, 5, 3, 9000])):
        engine = postgresql_engine(parse_url(postgres_url + query), 1)
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(driver.pgconn.socket)) as seen:
                assert [seen.getsockopt(socket.IPPROTO_TCP, each) for each in asked] == told
        engine.dispose()
