"""Prepared statements on every database: the same values, counts and errors as through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.rows import AT, QUIET, arrival, patient_row
from sqlalchemy import bindparam, create_engine, select, text
from sqlalchemy.exc import InternalError

from gateway.domain.errors import Conflict, Fault, Unavailable
from gateway.storage import tables
from gateway.storage.audit_tables import audit_word
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase, parse_url
from gateway.storage.fhir_tables import vault_resource, vault_resource_version
from gateway.storage.index_tables import index_quantity
from gateway.storage.prepared import Prepared, delete_rows, insert_new, insert_rows
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


@pytest.mark.peer("postgresql")
def test_a_connection_lost_before_the_commit_is_unavailable(postgres_url: str) -> None:
    """A commit on a connection that the server has ended is Unavailable, nothing of it stays, and the next goes on."""
    database = SqlDatabase(postgres_url, AuditKey("test-1", b"k" * 32))
    admin = create_engine(parse_url(postgres_url), isolation_level="AUTOCOMMIT")
    with database.begin("tester") as unit:
        unit.audit.head()
        unit.audit.record("person:login", "gateway", "tester")
        with admin.connect() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        with pytest.raises(Unavailable):
            unit.commit()
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester")
        unit.commit()
    with database.read() as unit:
        assert unit.audit.head()[0] == 1
    admin.dispose()
    database.close()


def test_a_commit_tells_what_failed_on_its_way(database: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that are sent together with the commit, one whose place is taken fails the commit, and with it all."""
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester")
        unit.commit()
    with database.begin("tester") as unit:
        unit.identities.add_patient(patient_row())
        unit.audit.record("person:login", "gateway", "tester")
        monkeypatch.setattr(unit.audit, "head", lambda **_lock: (0, bytes(32)))
        with pytest.raises(Conflict):
            unit.commit()
    with database.begin("tester") as unit:
        assert unit.audit.head()[0] == 1
        assert unit._transaction.first(select(tables.patient.c.pseudonym)) is None


@pytest.mark.peer("postgresql")
def test_an_idle_connection_that_was_lost_is_replaced(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server has ended while nobody used it is found out before the next unit of work."""
    monkeypatch.setattr("gateway.storage.database._IDLE_SECONDS", 0.0)
    database = SqlDatabase(postgres_url, AuditKey("test-1", b"k" * 32))
    admin = create_engine(parse_url(postgres_url), isolation_level="AUTOCOMMIT")
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with database.read() as unit:
        unit.audit.head()
    with admin.connect() as connection:
        connection.execute(others)
    with database.read() as unit:
        assert unit.audit.head()[0] == 0
    admin.dispose()
    database.close()


@pytest.mark.peer("postgresql")
def test_a_connection_that_has_read_can_write(postgres_url: str) -> None:
    """PostgreSQL itself refuses a write in a reading unit; the next unit on the connection writes as ever."""
    database = SqlDatabase(postgres_url, AuditKey("test-1", b"k" * 32), pool_size=1)
    for _ in range(2):
        with database.read() as unit, pytest.raises(InternalError, match="read-only"):
            unit._open.execute(audit_word.insert().values(word="w", seq=1))
    with database.begin("tester") as writing:
        writing.audit.record("orphan:delete", "one", "tester")
        writing.commit()
    with database.begin("tester") as writing:
        assert writing._open.execute(text("SHOW transaction_isolation")).scalar() == "read committed"
    database.close()


AWKWARD = ['a"b', "a\\b", "{1,2}", "NULL", "null", "", " blanks ", "line\nbreak, comma", "Дж", "\\\\x41", "'"]


def test_many_rows_come_back_as_they_went_in(unit: SqlUnitOfWork) -> None:
    """`insert_rows` keeps every character, byte, number, flag and time of all rows, whatever they look like."""
    resources = [
        {
            "key": place,
            "type": text,
            "id": str(place),
            "version": 1,
            "owner": patient_row().pseudonym,
            "updated_at": AT,
            "ours": place % 2 == 0,
        }
        for place, text in enumerate(AWKWARD)
    ]
    versions = [
        {"key": place, "version": 1, "method": "PUT", "at": AT, "sealed": bytes(range(place * 20, place * 20 + 20))}
        for place in range(len(AWKWARD))
    ]
    transaction = unit._transaction
    assert transaction.run_many(insert_rows(vault_resource), resources) == len(resources)
    transaction.run_many(insert_rows(vault_resource_version), versions)
    kept = transaction.all(select(*vault_resource.c).order_by(vault_resource.c.key))
    assert [dict(row._mapping) for row in kept] == resources
    stored = transaction.all(select(*vault_resource_version.c).order_by(vault_resource_version.c.key))
    assert [dict(row._mapping) for row in stored] == versions


def test_many_numbers_come_back_exactly(unit: SqlUnitOfWork) -> None:
    """Doubles keep every bit, and open ends stay infinite."""
    numbers = [0.1, -1e308, 5e-324, 1 / 3, float("inf"), float("-inf")]
    rows = [
        {
            "parameter": 1,
            "unit": -(1 << 63),
            "low": low,
            "high": low,
            "key": key,
            "system": (1 << 63) - 1,
            "code": 0,
            "text": 0,
        }
        for key, low in enumerate(numbers)
    ]
    unit._transaction.run_many(insert_rows(index_quantity), rows)
    kept = unit._transaction.all(select(*index_quantity.c).order_by(index_quantity.c.key))
    assert [dict(row._mapping) for row in kept] == rows


def test_many_inserts_give_way_to_the_rows_that_are_there(unit: SqlUnitOfWork) -> None:
    """Rows whose place is taken are not counted, the others are written."""
    row = {"pseudonym": "p5", "wrapped_object_key": b"k", "erased_at": None, "files_deleted_at": None}
    giving_way = insert_rows(tables.patient, gives_way=True)
    assert unit._transaction.run_many(giving_way, [row]) == 1
    assert unit._transaction.run_many(giving_way, [row, {**row, "pseudonym": "p6"}]) == 1


def test_many_rows_are_deleted_by_their_key(unit: SqlUnitOfWork) -> None:
    """`delete_rows` takes those that are named and leaves the others."""
    rows = [{"word": "w", "seq": seq} for seq in (1, 2, 3)]
    unit._transaction.run_many(insert_rows(audit_word), rows)
    unit._transaction.run_many(delete_rows(audit_word, "seq"), [{"seq": 1}, {"seq": 3}])
    assert unit._transaction.all(select(audit_word.c.seq)) == [(2,)]
