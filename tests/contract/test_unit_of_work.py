"""The unit of work on every database: what a commit keeps, what a rollback leaves, what a reader may not do."""

from __future__ import annotations

import pytest
from harness.rows import patient_row

from gateway.domain.errors import Fault
from gateway.storage.database import SqlDatabase


def test_leaving_without_commit_leaves_nothing(database: SqlDatabase) -> None:
    """A unit of work that is not committed leaves neither rows nor audit entries."""
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester")
    with database.read() as unit:
        assert unit.audit.head()[0] == 0


def test_a_failure_inside_leaves_nothing(database: SqlDatabase) -> None:
    """An exception inside the block rolls back and passes through."""

    def fail() -> None:
        with database.begin("tester") as unit:
            unit.audit.record("person:login", "gateway", "tester")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with database.read() as unit:
        assert unit.audit.head()[0] == 0


def test_commit_is_seen_by_the_next_reader(database: SqlDatabase) -> None:
    """What is committed is there for a unit of work that begins afterwards."""
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester", pid=7)
        unit.commit()
    with database.read() as unit:
        (row,) = unit.audit.rows()
    assert (row.seq, row.entry.event, row.entry.actor, row.entry.details) == (1, "person:login", "tester", {"pid": 7})


def test_a_reader_keeps_its_snapshot(database: SqlDatabase) -> None:
    """A reading unit of work sees one state of the database, whatever is committed meanwhile."""
    with database.read() as reader:
        before = reader.audit.head()
        with database.begin("tester") as unit:
            unit.audit.record("person:login", "gateway", "tester")
            unit.commit()
        assert reader.audit.head() == before


def test_a_reader_cannot_record_write_or_commit(database: SqlDatabase) -> None:
    """A reading unit of work refuses audit entries, statements that write, and commit."""
    with database.read() as unit:
        with pytest.raises(Fault):
            unit.audit.record("person:login", "gateway", "tester")
        with pytest.raises(Fault):
            unit.access.drop_grant(b"x")
        with pytest.raises(Fault):
            unit.commit()


def test_a_savepoint_fails_alone(database: SqlDatabase) -> None:
    """What fails inside a savepoint leaves nothing, and what came before and after it is committed."""

    def fail_inside() -> None:
        with unit.savepoint():
            unit.audit.record("person:logout", "gateway", "tester")
            raise LookupError

    with database.begin("tester") as unit:
        unit.audit.record("person:login", "first", "tester")
        with pytest.raises(LookupError):
            fail_inside()
        unit.audit.record("person:login", "second", "tester")
        unit.commit()
    with database.read() as unit:
        assert [row.entry.subject_id for row in unit.audit.rows()] == ["first", "second"]


def test_use_after_the_block_is_refused(database: SqlDatabase) -> None:
    """A unit of work that has ended runs no more statements."""
    with database.begin("tester") as unit:
        pass
    with pytest.raises(Fault):
        unit.audit.head()


def test_the_version_differs_after_every_commit(database: SqlDatabase) -> None:
    """Also of this process; it stays while nothing is committed."""
    seen = [database.version()]
    for _ in range(3):
        with database.begin("tester") as unit:
            unit.audit.record("person:login", "gateway", "tester")
            unit.commit()
        seen.append(database.version())
    assert len(set(seen)) == 4
    assert database.version() == seen[-1]


def test_a_write_under_way_changes_the_version_when_it_ends(database: SqlDatabase) -> None:
    """Whoever asks while a transaction is open is told of its commit later."""
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester")
        unit.identities.add_patient(patient_row())
        during = database.version()
        unit.commit()
    assert database.version() != during


def test_units_in_a_row_share_no_state(database: SqlDatabase) -> None:
    """After a unit that failed or was left open the next one begins anew, and the one before is over."""
    with database.begin("tester") as first:
        first.audit.record("person:login", "gateway", "tester")
        first.commit()
    with pytest.raises(Fault):
        first.audit.head()
    with database.begin("tester") as unit:
        unit.audit.record("person:logout", "gateway", "tester")
    with database.begin("tester") as unit:
        assert unit.audit.head()[0] == 1
        unit.commit()
        assert unit.audit.head()[0] == 1
    with database.begin("tester") as unit:
        unit.audit.record("person:logout", "gateway", "tester")
        unit.commit()
    database.close()
    with database.begin("tester") as unit:
        assert unit.audit.head()[0] == 2
