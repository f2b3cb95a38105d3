"""Statements that go to PostgreSQL without waiting for each one's answer (libpq's pipeline mode).

A unit of work waits for the server at every statement, and on a busy machine most of such a wait is the way to it and
back. SQLite runs in the process and has no such way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


@contextmanager
def one_round_trip(connection: Connection) -> Iterator[None]:
    """What the block sends is waited for when it asks for rows, or ends. DBAPIError as SQLAlchemy would raise it.

    A connection on which something failed is given up: SQLAlchemy may hold a commit for done that was only sent.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    dialect: Any = connection.dialect
    driver: Any = connection.connection.driver_connection
    try:
        with driver.pipeline():
            yield
    except DBAPIError as error:
        connection.invalidate(error)
        raise
    except dialect.loaded_dbapi.Error as error:
        connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from None


def begins_with(driver: Any) -> bool:
    """Whether psycopg will send BEGIN before the next statement: the two then share a round trip."""
    info = driver.info
    return bool(info.transaction_status == _IDLE and info.pipeline_status == _NO_PIPELINE)


_IDLE = 0  # psycopg.pq.TransactionStatus.IDLE
_NO_PIPELINE = 0  # psycopg.pq.PipelineStatus.OFF
