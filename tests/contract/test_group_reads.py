"""Reads that share a unit of work, on every database: each fails alone, and what is to be written is durable first."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import text

from gateway.domain.errors import Busy, GatewayError, Invalid, Missing, Unavailable
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.group_reads import MOST_WAITING, GroupReads, Read, Said
from gateway.storage.database import SqlDatabase


@pytest.fixture
def reads(database: SqlDatabase) -> GroupReads:
    return GroupReads(database, "web")


def noted(unit: UnitOfWork) -> Outcome:
    """Reads, and leaves a row."""
    unit.audit.head()
    answer = Answer(200, None)
    return Pending(lambda written: written.audit.record("console:view", "x", "tester"), lambda _: answer)


def missing(unit: UnitOfWork) -> Outcome:
    raise Missing("no such resource")


def broken(unit: UnitOfWork) -> Outcome:
    """Fails in the database, after which PostgreSQL refuses all else in the transaction."""
    unit.audit._transaction.first(text("SELECT no_such_column FROM audit"))  # type: ignore[attr-defined]
    raise AssertionError("this was to fail")


async def together(reads: GroupReads, asked: list[Read]) -> list[Said | BaseException]:
    return await asyncio.gather(*(reads.read(one) for one in asked), return_exceptions=True)


def test_each_read_fails_alone(reads: GroupReads, database: SqlDatabase) -> None:
    """Whatever others of the batch run into, a read is answered, and its row is durable by then."""
    asked: list[Read] = [noted, missing, noted, broken, noted] * 8
    said = asyncio.run(together(reads, asked))
    for read, result in zip(asked, said, strict=True):
        assert isinstance(result, GatewayError) is (read is not noted)
        assert isinstance(result, Missing) is (read is missing)
    with database.read() as unit:
        assert len(list(unit.audit.rows())) == 24


def test_a_second_loop_is_served(reads: GroupReads) -> None:
    """Each answer comes back to the loop that asked."""
    for _ in range(2):
        (said,) = asyncio.run(together(reads, [noted]))
        assert isinstance(said, Answer)


def test_a_write_that_fails_takes_no_other_with_it(reads: GroupReads, database: SqlDatabase) -> None:
    """The rows of a batch are one transaction; where it fails each is tried alone, and no row is written twice."""

    def refused(written: UnitOfWork) -> None:
        written.audit.record("console:view", "x", "tester")
        raise Invalid("cannot be written")

    def failing(unit: UnitOfWork) -> Outcome:
        return Pending(refused, lambda _: Answer(200, None))

    said = asyncio.run(together(reads, [noted, failing, noted]))
    assert [type(one) for one in said] == [Answer, Invalid, Answer]
    with database.read() as unit:
        assert len(list(unit.audit.rows())) == 2


def test_what_stands_still_is_bounded(database: SqlDatabase) -> None:
    """While the database does not answer, so many wait and no more, and none longer than is said."""
    goes_on = threading.Event()

    def stuck(unit: UnitOfWork) -> Outcome:
        goes_on.wait(30)
        return noted(unit)

    async def ask() -> list[Said | BaseException]:
        try:
            return await together(GroupReads(database, "web", seconds=0.1), [stuck] * (MOST_WAITING + 3))
        finally:
            goes_on.set()

    said = asyncio.run(ask())
    assert sum(isinstance(one, Busy) for one in said) == 3
    assert sum(isinstance(one, Unavailable) for one in said) == MOST_WAITING


def test_a_thread_that_does_not_start_ends_no_later_read(reads: GroupReads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no thread, those who wait are told so, and the next read begins with another."""

    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        (refused,) = asyncio.run(together(reads, [noted]))
    (said,) = asyncio.run(together(reads, [noted]))
    assert isinstance(refused, Unavailable)
    assert isinstance(said, Answer)
