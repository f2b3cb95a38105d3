"""Prepared statements on every database: the same values, counts and errors as through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.rows import AT, QUIET, arrival, patient_row
from sqlalchemy import bindparam, create_engine, select, text

from gateway.domain.errors import Conflict, Fault, Unavailable
from gateway.storage import tables
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase, parse_url
from gateway.storage.prepared import Prepared, insert_new
from gateway.storage.unit_of_work import SqlUnitOfWork

ALL_OF_STUDY = Prepared(select(*tables.study.c).where(tables.study.c.id == bindparam("study_id")))
INSERT_PATIENT = insert_new(tables.patient)


@pytest.fixture
def unit(database: SqlDatabase) -> Iterator[SqlUnitOfWork]:
    with database.begin("tester") as opened:
        opened.identities.add_patient(patient_row())
        yield opened


def test_values_have_the_types_of_their_columns(unit: SqlUnitOfWork) -> None:
    """Times, tuples, flags and bytes come back as SQLAlchemy itself would give them."""
    one = arrival()
    unit.studies.receive(one, AT + QUIET, AT)
    transaction = unit._transaction
    plain = transaction.first(select(*tables.study.c))
    prepared = transaction.row(ALL_OF_STUDY, {"study_id": one.instance.study_id})
    assert plain is not None
    assert prepared == tuple(plain)
    instance = transaction.row(Prepared(select(*tables.instance.c)), {})
    assert instance == tuple(transaction.all(select(*tables.instance.c))[0])


def test_an_insert_gives_way_to_the_row_that_is_there(unit: SqlUnitOfWork) -> None:
    """`insert_new` counts the row it wrote, and none where its place is taken."""
    values = {"pseudonym": "p2", "wrapped_object_key": b"k", "erased_at": None, "files_deleted_at": None}
    assert unit._transaction.run(INSERT_PATIENT, values) == 1
    assert unit._transaction.run(INSERT_PATIENT, values) == 0


def test_a_value_that_is_missing_is_never_null(unit: SqlUnitOfWork) -> None:
    """A statement that lacks a value is not run."""
    with pytest.raises(KeyError):
        unit._transaction.run(INSERT_PATIENT, {"pseudonym": "p3"})


def test_errors_are_of_our_tree(unit: SqlUnitOfWork) -> None:
    """A unique row that is taken is a Conflict."""
    again = Prepared(tables.patient.insert())
    values = {"pseudonym": "p4", "wrapped_object_key": b"k", "erased_at": None, "files_deleted_at": None}
    unit._transaction.run(again, values)
    with pytest.raises(Conflict):
        unit._transaction.run(again, values)


def test_who_reads_does_not_write(database: SqlDatabase) -> None:
    """A reading unit of work refuses a prepared statement that writes."""
    with database.read() as unit, pytest.raises(Fault):
        unit._transaction.run(
            INSERT_PATIENT, {"pseudonym": "p5", "wrapped_object_key": b"k", "erased_at": None, "files_deleted_at": None}
        )


@pytest.mark.peer("postgresql")
def test_a_lost_connection_is_unavailable(postgres_url: str) -> None:
    """A connection that the server has ended is Unavailable, and the next unit of work has a good one."""
    database = SqlDatabase(postgres_url, AuditKey("test-1", b"k" * 32))
    admin = create_engine(parse_url(postgres_url), isolation_level="AUTOCOMMIT")
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with database.begin("tester") as unit:
        unit.audit.head()
        with admin.connect() as connection:
            connection.execute(others)
        with pytest.raises(Unavailable):
            unit.audit.head()
    with database.begin("tester") as unit:
        assert unit.audit.head()[0] == 0
    admin.dispose()
    database.close()
