"""Reads that share a unit of work, on every database: each fails alone, and what is to be written is durable first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from gateway.domain.errors import GatewayError, Missing
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.group_reads import GroupReads, Read, Settled
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter


@pytest.fixture
def reads(database: SqlDatabase) -> Iterator[GroupReads]:
    commits = GroupCommitter(database, "web")
    yield GroupReads(database, commits)
    commits.stop()


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


async def together(reads: GroupReads, asked: list[Read]) -> list[Settled | BaseException]:
    return await asyncio.gather(*(reads.read(one, 30) for one in asked), return_exceptions=True)


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
        ((outcome, _),) = asyncio.run(together(reads, [noted]))  # type: ignore[misc]
        assert isinstance(outcome, Pending)
