"""Statements handed to libpq itself: what is known goes out together, and one wait gets all the answers.

psycopg's cursors and pipelines are generators in Python, resumed at every step of every statement: they took two fifths
of the processor time of a small unit of work. What psycopg does in C is used here as well: results
become values by its loaders, and `psycopg.pq` is its documented way to libpq.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

_MOST_NAMED = 512  # statements that the server keeps for one connection; what is beyond is parsed at each use
_TEXT, _BINARY = 0, 1  # formats of libpq
_IN_ERROR = 3  # psycopg.pq.TransactionStatus.INERROR
_STALE = frozenset({"26000", "0A000"})  # no such prepared statement; its rows have become of other types


@dataclass(frozen=True)
class Question:
    """A statement, `$1` standing for its first value, and its values."""

    text: str
    values: Sequence[Any] = ()


COMMIT: Final = Question("COMMIT")


@dataclass(frozen=True)
class Answer:
    """What a cursor holds after an execution."""

    rows: Sequence[tuple[Any, ...]]
    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        return self.rows


def ask(connection: Connection, questions: Sequence[Question]) -> list[Answer]:
    """All of them in one round trip, after BEGIN where no transaction is open; the answer to each.

    The first that fails is raised as the DBAPIError that SQLAlchemy would raise, and none after it is carried out.
    """
    if not connection.in_transaction():
        connection.begin()  # SQLAlchemy sends nothing, and knows that there is something to roll back
    with _guarded(connection) as driver:
        wire: _Wire | None = connection.info.get("wire")
        if wire is None:
            wire = connection.info["wire"] = _Wire(driver)
        return wire.ask(questions)


def has_failed(connection: Connection) -> bool:
    """Whether the server would answer a COMMIT by rolling back, and call that no error."""
    driver: Any = connection.connection.driver_connection
    return bool(driver.pgconn.transaction_status == _IN_ERROR)


@contextmanager
def _guarded(connection: Connection) -> Iterator[Any]:
    """A connection that is lost or was left amid an exchange is given up, so that nobody gets it again.

    So is one whose prepared statements hold no more: somebody else, such as a pooler, has told the server to forget
    them, or a migration has changed the types of their columns.
    """
    dialect: Any = connection.dialect
    driver: Any = connection.connection.driver_connection
    try:
        yield driver
    except dialect.loaded_dbapi.Error as error:
        is_stale = getattr(error, "sqlstate", None) in _STALE
        if is_stale or driver.pgconn.pipeline_status or dialect.is_disconnect(error, driver, None):
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from None
    except BaseException:
        if driver.pgconn.pipeline_status:
            connection.invalidate()
        raise


class _Wire:
    """One connection of psycopg's as libpq sees it."""

    def __init__(self, driver: Any) -> None:
        import psycopg  # an extra: who uses SQLite need not have it
        import psycopg.adapt

        self._driver = driver
        self._libpq = driver.pgconn
        self._errors: Any = psycopg.errors
        self._kinds: Any = psycopg.pq.ExecStatus
        self._idle = psycopg.pq.TransactionStatus.IDLE
        self._bad = psycopg.pq.ConnStatus.BAD
        self._loaders: Any = psycopg.adapt.Transformer(driver)
        self._names: dict[str, bytes] = {}

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        written = [(question.text, self._written(question.values)) for question in questions]
        self._libpq.enter_pipeline_mode()
        begins = self._libpq.transaction_status == self._idle and not self._driver.autocommit
        sent: list[str | None] = []  # for each command the text that it prepares, or None
        if begins:
            self._libpq.send_query_params(self._begin(), None)
            sent.append(None)
        asks = []
        for text, (values, formats) in written:
            sent += self._send(text, values, formats)
            asks.append(len(sent) - 1)
        self._libpq.pipeline_sync()
        results = self._received()
        self._libpq.exit_pipeline_mode()
        self._raise_first(sent, results)
        return [self._answer(results[place]) for place in asks]

    def _begin(self) -> bytes:
        level = self._driver.isolation_level
        words = "BEGIN" if level is None else f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}"
        return f"{words} READ ONLY".encode() if self._driver.read_only else words.encode()

    def _written(self, values: Sequence[Any]) -> tuple[list[bytes | None], list[int]]:
        """As the server reads them; of what type they are the statement says."""
        try:
            written = [None if value is None else _writer(type(value))(value) for value in values]
        except _Unwritable:
            raise self._errors.DataError("text holds U+0000") from None
        except LookupError as kind:
            raise self._errors.ProgrammingError(f"values of the type {kind} cannot be written") from None
        return written, [_BINARY if isinstance(value, bytes) else _TEXT for value in values]

    def _send(self, text: str, values: list[bytes | None], formats: list[int]) -> list[str | None]:
        """The server is told a text once and knows it by a name from then on, which no other text has.

        So a connection that a pooler has exchanged may not know a name, but never means something else by it.
        """
        name = self._names.get(text)
        if name is not None:
            self._libpq.send_query_prepared(name, values, formats, _BINARY)
            return [None]
        if len(self._names) >= _MOST_NAMED or text is COMMIT.text:
            self._libpq.send_query_params(text.encode(), values, None, formats, _BINARY)
            return [None]
        name = self._names[text] = f"dxgate_{sha256(text.encode()).hexdigest()[:32]}".encode()
        self._libpq.send_prepare(name, text.encode())
        self._libpq.send_query_prepared(name, values, formats, _BINARY)
        return [text, None]

    def _received(self) -> list[Any]:
        """The result of each command, once all have come."""
        libpq = self._libpq
        results: list[Any] = []
        poll = select.poll()
        poll.register(libpq.socket, select.POLLIN | select.POLLOUT)
        while libpq.flush():
            if poll.poll()[0][1] & ~select.POLLOUT:
                libpq.consume_input()  # the server does not go on reading where its answers are not read
        poll.modify(libpq.socket, select.POLLIN)
        while True:
            while libpq.is_busy():
                poll.poll()
                libpq.consume_input()
            result = libpq.get_result()
            if result is None:
                if libpq.status == self._bad:
                    raise self._errors.OperationalError("the connection is lost")
            elif result.status == self._kinds.PIPELINE_SYNC:
                return results
            else:
                results.append(result)

    def _raise_first(self, sent: Sequence[str | None], results: Sequence[Any]) -> None:
        failed = next((each for each in results if each.status == self._kinds.FATAL_ERROR), None)
        if failed is None:
            return
        for text, result in zip(sent, results, strict=True):
            if text is not None and result.status != self._kinds.COMMAND_OK:
                del self._names[text]
        raise self._errors.error_from_result(failed)

    def _answer(self, result: Any) -> Answer:
        if result.status != self._kinds.TUPLES_OK:
            return Answer((), int(result.command_tuples or 0))
        self._loaders.set_pgresult(result)
        return Answer(self._loaders.load_rows(0, result.ntuples, tuple), int(result.ntuples))


class _Unwritable(Exception):
    """PostgreSQL's text has no U+0000, and libpq would end there."""


def _text(value: str) -> bytes:
    if "\0" in value:
        raise _Unwritable
    return value.encode()


def _writer(kind: type) -> Callable[[Any], bytes]:
    """A str that is of a class of its own is written as the str that it is, and so with the others."""
    known = _WRITTEN.get(kind)
    if known is None:
        known = next((_WRITTEN[base] for base in kind.__mro__ if base in _WRITTEN), None)
    if known is None:
        raise LookupError(kind.__name__)
    return known


_WRITTEN: Mapping[type, Callable[[Any], bytes]] = {
    str: _text,
    bytes: bytes,
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: int.__repr__(value).encode(),
    float: lambda value: float.__repr__(value).encode(),
}
