"""Read-modify-write from several processes on SQLite: the driver's own transactions lose more than half of them."""

from __future__ import annotations

from harness.commands import start_code
from harness.rows import arrival, receive

from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase

CHILD = """
import sys
from sqlalchemy import update
from harness.rows import arrival
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.tables import study
database = SqlDatabase(sys.argv[1], AuditKey("test-1", b"k" * 32))
study_id = arrival().instance.study_id
for _ in range(100):
    with database.begin("counter") as unit:
        count = unit.studies.get(study_id).instance_count
        unit._transaction.execute(update(study).where(study.c.id == study_id), {"instance_count": count + 1})
        unit.audit.record("console:view", "counter", "counter")
        unit.commit()
"""


def test_four_processes_lose_no_update(sqlite_url: str) -> None:
    """Four processes that each add one a hundred times make exactly four hundred, and as many audit rows."""
    database = SqlDatabase(sqlite_url, AuditKey("test-1", b"k" * 32))
    with database.begin("setup") as unit:
        receive(unit, arrival())
        unit.commit()
        before = 3
    children = [start_code(CHILD, [sqlite_url]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0]
    with database.read() as unit:
        assert unit.studies.get(arrival().instance.study_id).instance_count == 401
        assert unit.audit.head()[0] == before + 400
    database.close()
