"""Every revision up and down with rows in the tables, on both databases, and by two processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from harness.commands import start_command
from harness.resources import indexed_everywhere
from harness.rows import AT, accepted, arrival, content, finding, model, planned_task, receive, review
from sqlalchemy import Engine, create_engine, insert, inspect, make_url, select, text

from gateway.domain.access import Client, Grant, Person
from gateway.domain.agreement import Agreement, CodedAnswer, FinalReport, StudyLink
from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Fault, Unavailable
from gateway.domain.governance import Approval, Stop
from gateway.domain.ids import BlobKey, ClientId, PersonId
from gateway.domain.message import ReceivedMessage
from gateway.domain.recall import Recall
from gateway.domain.record import RecordInput
from gateway.domain.reindex import Reindexing
from gateway.domain.resource import Change, StoredVersion, resource_key
from gateway.domain.subscription import Event, Subscriber
from gateway.flow.agree import CompareReports
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase, parse_url
from gateway.storage.migrate import current, downgrade, head, script_folder, upgrade
from gateway.storage.resource_index import IndexSettings
from gateway.storage.schema import metadata
from gateway.storage.worker_role import grant_worker_role

KEY = AuditKey("test-1", b"k" * 32)
INDEX = IndexSettings(lambda label: label.encode()[-32:].ljust(32, b"."))
ROOT = Path(__file__).parents[2]
REVISIONS = [script.revision for script in ScriptDirectory(str(script_folder())).walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgresql"))])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, with no tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
        return
    cluster = request.getfixturevalue("postgres_cluster")
    url = cluster.create(migrated=False)
    yield url
    cluster.drop(url)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Of the test's database, whether it starts empty or at the newest revision."""
    name = "empty_url" if "empty_url" in request.fixturenames else "database_url"
    opened = create_engine(parse_url(request.getfixturevalue(name)))
    yield opened
    opened.dispose()


def _fill(url: str) -> None:
    """At least one row in every table, written through the ports."""
    database = SqlDatabase(url, KEY, index=INDEX)
    with database.begin("tester") as unit:
        study, task = planned_task(unit)
        claimed = unit.tasks.claim(task.id, "w1", AT, AT)
        assert claimed is not None
        found = finding(claimed)
        unit.tasks.finish(claimed, found)
        report = unit.reports.write(unit.reports.register(study, AT), "compose", 1, content(found), AT)
        unit.deliveries.plan(report, ["ehr"], AT)
        signed = unit.reports.write(report, "sign", 1, content(found), AT)
        unit.reviews.add(review(signed))
        link = StudyLink("study", b"uid")
        answer = CodedAnswer("urn:dxgate:finding", "q", ("malignant",), ("benign", "malignant"), "malignant")
        unit.agreements.keep(FinalReport(7, 1, study.patient, AT, (link,), (answer,)))
        unit.agreements.put(
            Agreement(study.id, task.model_id, found.id, "agreed", "malignant", "malignant", "malignant", AT, AT)
        )
        unit.governance.accept(accepted())
        unit.governance.stop(Stop(task.model_id, "wrong threshold", AT, "tester"))
        unit.governance.approve(Approval(task.model_id, AT, "tester"))
        unit.recalls.add(Recall(task.model_id, "breast", "1.0.0", "wrong threshold", AT, "tester"))
        (instance,) = unit.studies.instances(study.id)
        unit.pixel_tasks.plan(instance, "routine", AT)
        unit.quotas.take("open:client:ehr", AT, 1, 5)
        unit.records.keep(RecordInput("r", study.id, 1, task.model_id, BlobKey("b"), 1, b"d"), ["Observation/o"], AT)
        stored = StoredVersion(resource_key(AT), "Patient", "p", 1, "PUT", AT, study.patient, b"sealed")
        unit.resources.insert(stored)
        device = StoredVersion(resource_key(AT), "Device", "d", 1, "PUT", AT, study.patient, b"sealed")
        unit.resource_index.put(
            [Change(*each, None) for each in zip((stored, device), indexed_everywhere(), strict=True)]
        )
        assert unit.messages.keep(ReceivedMessage("ehr", b"m", b"b", AT))
        unit.reindexings.begin(Reindexing("r", AT, 7))
        unit.bulk_jobs.add(BulkJob("j", "export", "ehr", "accepted", 0, 0, b"s", AT, AT, None, AT, None))
        unit.bulk_jobs.add_answers("j", {0: b"sealed"})
        unit.bulk_jobs.add_file(BulkFile(BlobKey("b"), "j", 0, "output", "Patient", 1, None))
        unit.subscriptions.add(Subscriber("s", 1, 1, "requested", False, b"e", 0, 0, 0, 0, AT, None, None, None, None))
        unit.subscriptions.add_events([Event("e", "s", None, AT, 0, "PUT", "Patient", "p", 1)])
        unit.access.add_client(Client(ClientId("c"), "fhir", "ehr", None, (), (), True, AT))
        unit.access.add_person(Person(PersonId("p"), "admin", "hash", "admin", True, AT))
        unit.access.add_grant(Grant(b"t", "ehr", "token", (), AT))
        unit.access.use_assertion(b"j", AT)
        unit.access.keep_id_token_key("k", b"sealed", timedelta(days=1))
        unit.audit.record("fhir:read", "r", "client:ehr", client="ehr", patients=[study.patient])
        unit.commit()
    database.close()


def _rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that this revision has."""
    names = set(inspect(engine).get_table_names()) & set(metadata.tables)
    with engine.connect() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {name} ORDER BY 1"))]  # noqa: S608
            for name in sorted(names)
        }


def _survive(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> bool:
    """Every value of the tables and columns that both have is the same."""
    return all(
        [{key: row[key] for key in row if key in other} for row, other in zip(before[name], after[name], strict=True)]
        == [
            {key: other[key] for key in other if key in row}
            for row, other in zip(before[name], after[name], strict=True)
        ]
        for name in before
        if name in after
    )


def _schema(engine: Engine) -> dict[str, Any]:
    """Everything that a revision could forget: columns, keys, uniqueness, checks and indexes of every table."""
    found = inspect(engine)
    return {
        name: {
            "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
            "primary": found.get_pk_constraint(name),
            "foreign": _plain(found.get_foreign_keys(name)),
            "unique": _plain(found.get_unique_constraints(name)),
            "checks": _plain(found.get_check_constraints(name)),
            "indexes": _plain(found.get_indexes(name)),
        }
        for name in metadata.tables
    }


def _plain(found: Any) -> Any:
    """SQL expressions as their text, lists in an order of their own."""
    if isinstance(found, dict):
        return {key: _plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return sorted((_plain(one) for one in found), key=str) if found and isinstance(found[0], dict) else found
    return str(found)


def test_upgrade_reaches_head(empty_url: str) -> None:
    """An empty database is at no revision, then at the newest; migrating again changes nothing."""
    assert current(empty_url) == ""
    assert upgrade(empty_url) == current(empty_url) == head() == REVISIONS[-1]
    assert upgrade(empty_url) == head()


def test_models_equal_tables(database_url: str, engine: Engine) -> None:
    """What the revisions make is what tables.py says: alembic finds no difference."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_constraints_equal_tables(database_url: str, engine: Engine) -> None:
    """CHECK constraints, keys and partial indexes, which alembic does not compare, are the same too."""
    migrated = _schema(engine)
    downgrade(database_url, "base")
    metadata.create_all(engine)
    assert migrated == _schema(engine)


def test_every_revision_up_and_down_with_rows(database_url: str, engine: Engine) -> None:
    """What both revisions know survives each step down to the first revision, and the way up again."""
    _fill(database_url)
    before = _rows(engine)
    assert set(before) == set(metadata.tables)
    assert all(before.values()), "a table without rows proves nothing"
    for revision in reversed(REVISIONS[:-1]):
        assert downgrade(database_url, revision) == revision
        assert _survive(before, _rows(engine))
    lowest = _rows(engine)
    upgrade(database_url)
    assert set(_rows(engine)) == set(metadata.tables)
    assert _survive(lowest, _rows(engine))


def test_no_way_down_past_an_object_that_is_not_cleared(database_url: str) -> None:
    """The first release would give an uncleared object to its models, so the way down to it is refused."""
    database = SqlDatabase(database_url, KEY)
    with database.begin("tester") as unit:
        receive(unit, arrival(clearance="held"))
        unit.commit()
    database.close()
    with pytest.raises(RuntimeError, match="not cleared"):
        downgrade(database_url, "0001")
    assert current(database_url) == head()


def test_what_was_stored_before_waits_for_the_checker(database_url: str, engine: Engine) -> None:
    """Objects of the first release have never been checked by other code, so the upgrade clears none of them."""
    _fill(database_url)
    downgrade(database_url, "0001")
    upgrade(database_url)
    (instance,) = _rows(engine)["instance"]
    assert (instance["clearance"], instance["pixels"]) == ("unchecked", "unsearched")


def test_the_way_down_and_up_ends_where_it_began(database_url: str, engine: Engine) -> None:
    """Base leaves no table but alembic's, and head is reached again from there."""
    _fill(database_url)
    assert downgrade(database_url, "base") == ""
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    assert upgrade(database_url) == head()


def test_a_failed_migration_leaves_nothing(
    empty_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pending revisions are one transaction: the last one failing takes back the first."""
    folder = tmp_path / "alembic"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text((script_folder() / "env.py").read_text())
    for script in (script_folder() / "versions").glob("*.py"):
        (folder / "versions" / script.name).write_text(script.read_text())
    (folder / "versions" / "9999_bad.py").write_text(
        f"from alembic import op\nrevision = '9999'\ndown_revision = {REVISIONS[-1]!r}\n"
        "def upgrade(): op.execute('CREATE TABLE half (a INTEGER)'); op.execute('SELECT nonsense')\n"
    )
    monkeypatch.setattr("gateway.storage.migrate.script_folder", lambda: folder)
    with pytest.raises(Exception, match="database answered"):
        upgrade(empty_url)
    assert inspect(engine).get_table_names() == []


def test_two_processes_migrate_at_once(empty_url: str, tmp_path: Path) -> None:
    """Processes that start together all end at head without an error, and the tables are made once."""
    own = {"DXGATE_GATEWAY_HOME": str(tmp_path / "home"), "DXGATE_DATABASE_URL": empty_url}
    said = [tmp_path / f"said-{number}" for number in range(3)]
    children = [start_command(["migrate"], os.environ | own, out) for out in said]
    assert [one.wait(60) for one in children] == [0] * 3
    assert [out.read_text().strip() for out in said] == [f"schema is {head()}"] * 3


def test_an_unmigrated_database_says_what_to_do(empty_url: str) -> None:
    """Without tables the gateway is Unavailable and names the command."""
    database = SqlDatabase(empty_url, KEY)
    with database.read() as unit, pytest.raises(Unavailable, match="dxgate migrate"):
        unit.audit.head()
    database.close()


def test_sqlite_files_are_private(tmp_path: Path) -> None:
    """The database, its journal and its lock can be read by their owner alone."""
    path = tmp_path / "home" / "x.sqlite"
    upgrade(f"sqlite:///{path}")
    database = SqlDatabase(f"sqlite:///{path}", KEY)
    with database.begin("tester") as unit:
        unit.audit.record("person:login", "gateway", "tester")
        unit.commit()
    modes = {one.name: oct(one.stat().st_mode & 0o777) for one in path.parent.iterdir()}
    database.close()
    assert set(modes) == {"x.sqlite", "x.sqlite-wal", "x.sqlite-shm", "x.sqlite.lock"}
    assert set(modes.values()) == {"0o600"}


@pytest.mark.peer("postgresql")
def test_the_worker_role_has_no_way_to_the_vault(postgres_cluster: Any) -> None:
    """A worker's role does a whole task, and every statement on the vault, people and peers is refused."""
    url = postgres_cluster.create()
    role = f"worker_{os.getpid()}"
    owner = create_engine(parse_url(url))
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    try:
        grant_worker_role(url, role)
        main = SqlDatabase(url, KEY)
        with main.begin("sweep") as unit:
            study, task = planned_task(unit)
            report = unit.reports.register(study, AT)
            link = StudyLink("study", study.study_uid_index or b"")
            unit.agreements.keep(FinalReport(7, 1, study.patient, AT, (link,), ()))
            unit.commit()
        main.close()
        mine = make_url(url).set(username=role).render_as_string(hide_password=False)
        worker = SqlDatabase(mine, KEY)
        with worker.begin("w1") as unit:
            assert unit.studies.lock(study.id).state == "analysing"
            assert len(unit.studies.instances(study.id)) == 1
            assert unit.identities.object_key(study.patient)
            claimed = unit.tasks.claim(task.id, "w1", AT, AT)
            assert claimed is not None
            found = finding(claimed)
            unit.tasks.finish(claimed, found)
            CompareReports().of_finding(unit, unit.studies.get(study.id), found)
            assert [one.outcome for one in unit.agreements.of_study(study.id)] == ["uncoded"]
            assert unit.governance.acceptances(model()) == []
            written = unit.reports.write(report, "compose", 1, content(), AT)
            unit.deliveries.plan(written, ["ehr"], AT)
            unit.studies.move(study.id, "analysing", "report")
            unit.commit()
        closed = [name for name in metadata.tables if name.startswith("vault_") or name in ("client", "person")]
        for name in (*closed, "access_grant"):
            with worker.read() as unit, pytest.raises(Fault, match="42501"):
                unit._transaction.all(select(metadata.tables[name]))
        row = {"study_id": "x", "sealed_identity": b"x"}
        with worker.begin("w1") as unit, pytest.raises(Fault, match="42501"):
            unit._transaction.execute(insert(metadata.tables["vault_study"]), row)
        with worker.begin("w1") as unit, pytest.raises(Fault, match="42501"):
            unit.quotas.take("open:client:ehr", AT, 1, 5)
        with worker.read() as unit, pytest.raises(Fault, match="42501"):
            unit.quotas.used("open:client:ehr", AT)
        worker.close()
    finally:
        postgres_cluster.drop(url)
        postgres_cluster.execute(f"DROP ROLE {role}")
        owner.dispose()
