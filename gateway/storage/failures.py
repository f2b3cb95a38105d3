"""What a database driver's error means, as an error of the gateway's tree.

A driver's text may hold row values (PostgreSQL's DETAIL does), so none of it is passed on: the message names the
driver's symbol (SQLITE_FULL, SQLSTATE 53100) and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.domain.errors import Busy, Conflict, Fault, GatewayError, Invalid, Unavailable

_NO_TABLES = "the database has no tables of this release; run `dxgate migrate`"

# The first prefix that fits decides: https://sqlite.org/rescode.html
_SQLITE: tuple[tuple[str, type[GatewayError]], ...] = (
    ("SQLITE_CONSTRAINT_UNIQUE", Conflict),
    ("SQLITE_CONSTRAINT_PRIMARYKEY", Conflict),
    ("SQLITE_CONSTRAINT", Fault),
    ("SQLITE_BUSY", Unavailable),
    ("SQLITE_LOCKED", Unavailable),
    ("SQLITE_FULL", Unavailable),
    ("SQLITE_READONLY", Unavailable),
    ("SQLITE_IOERR", Unavailable),
    ("SQLITE_CANTOPEN", Unavailable),
    ("SQLITE_CORRUPT", Unavailable),
    ("SQLITE_NOTADB", Unavailable),
    ("SQLITE_NOMEM", Unavailable),
    ("SQLITE_PERM", Unavailable),
    ("SQLITE_INTERRUPT", Unavailable),
    ("SQLITE_TOOBIG", Invalid),
)

# Classes and codes of PostgreSQL, appendix A "Error Codes"
_SQLSTATE: tuple[tuple[str, type[GatewayError]], ...] = (
    ("23505", Conflict),  # unique_violation
    ("23", Fault),
    ("22", Invalid),  # data exception
    ("40", Busy),  # serialization failure, deadlock: the same write will succeed later
    ("08", Unavailable),  # connection exception
    ("25006", Unavailable),  # read-only transaction: a standby
    ("26", Busy),  # no such prepared statement: the next connection prepares it anew
    ("28", Unavailable),  # authorisation
    ("3D", Unavailable),  # no such database
    ("53", Unavailable),  # disk full, out of memory, too many connections
    ("55", Unavailable),  # lock not available
    ("57", Unavailable),  # shutdown, crash, statement timeout
    ("58", Unavailable),  # system error
    ("XX", Unavailable),
)


@contextmanager
def translated() -> Iterator[None]:
    """Turns driver errors inside the block into the gateway's, without their text."""
    try:
        yield
    except (DBAPIError, PoolTimeout, StatementError, sqlite3.Error, UnicodeError, OverflowError) as error:
        raise gateway_error(error) from None


def gateway_error(error: Exception) -> GatewayError:
    """The gateway's error for one that SQLAlchemy or a driver has raised."""
    if isinstance(error, PoolTimeout):
        return Busy("all connections to the database are in use")
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, GatewayError):
        return cause
    if isinstance(cause, UnicodeError | OverflowError):
        return Invalid("a value cannot be stored as text or number")
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    return _of_postgresql(error, cause)


def _of_sqlite(cause: sqlite3.Error) -> GatewayError:
    name = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
    if str(cause).startswith("no such table"):
        return Unavailable(_NO_TABLES)
    return _first(_SQLITE, name)(f"the database answered {name}")


def _of_postgresql(error: Exception, cause: BaseException) -> GatewayError:
    state = getattr(cause, "sqlstate", None)
    if state == "42P01":
        return Unavailable(_NO_TABLES)
    if state == "42501":
        return Fault("the database role has no grant for this statement (SQLSTATE 42501)")
    if state:
        return _first(_SQLSTATE, state)(f"the database answered SQLSTATE {state}")
    if isinstance(error, OperationalError | InterfaceError):
        return Unavailable("the database cannot be reached")
    if type(cause).__name__ == "DataError":  # psycopg refuses U+0000 in text before it is sent
        return Invalid("a value cannot be stored as text or number")
    return Fault(f"the database driver raised {type(cause).__name__}")


def _first(table: tuple[tuple[str, type[GatewayError]], ...], name: str) -> type[GatewayError]:
    return next((kind for prefix, kind in table if name.startswith(prefix)), Fault)
