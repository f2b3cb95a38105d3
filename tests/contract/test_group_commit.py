"""The GroupCommit port on every database: each write fails alone, all become durable together, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.rows import AT, QUIET, arrival, patient_row

from gateway.domain.errors import Busy, Conflict, Fault, Unavailable
from gateway.ports import UnitOfWork
from gateway.storage import group_commit
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter
from gateway.storage.unit_of_work import SqlUnitOfWork


@pytest.fixture
def commits(database: SqlDatabase) -> Iterator[GroupCommitter]:
    committer = GroupCommitter(database, "dicom")
    yield committer
    committer.stop()


def _record(unit: UnitOfWork, subject: str) -> str:
    unit.audit.record("console:view", subject, "tester")
    return subject


def _subjects(database: SqlDatabase) -> list[str]:
    with database.read() as unit:
        return [row.entry.subject_id for row in unit.audit.rows(limit=10_000)]


def test_each_gets_its_own_answer(database: SqlDatabase, commits: GroupCommitter) -> None:
    """Many threads get each the result of its own write, all of which are committed."""
    with ThreadPoolExecutor(16) as pool:
        wanted = [f"s{number}" for number in range(200)]
        assert list(pool.map(lambda name: commits.submit(lambda unit: _record(unit, name)), wanted)) == wanted
    assert sorted(_subjects(database)) == sorted(wanted)


def test_a_write_that_fails_fails_alone(database: SqlDatabase, commits: GroupCommitter) -> None:
    """An error reaches the one who caused it, and leaves nothing of that write; its neighbours are committed."""

    def write(number: int) -> str:
        def inner(unit: UnitOfWork) -> str:
            name = _record(unit, f"s{number}")
            if number % 3 == 0:
                raise Conflict("mine alone")
            return name

        try:
            return commits.submit(inner)
        except Conflict as error:
            return str(error)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(write, range(60)))
    assert answers == ["mine alone" if number % 3 == 0 else f"s{number}" for number in range(60)]
    assert set(_subjects(database)) == {f"s{number}" for number in range(60) if number % 3}


def test_a_database_error_fails_alone(database: SqlDatabase, commits: GroupCommitter) -> None:
    """A statement that the database refuses does not spoil the transaction for the next write."""
    with database.begin("setup") as unit:
        unit.identities.add_patient(patient_row())
        unit.commit()
    first = arrival()
    commits.submit(lambda unit: unit.studies.receive(first, AT + QUIET, AT))
    with pytest.raises(Conflict):
        commits.submit(lambda unit: unit.studies.receive(_same_blob(first.instance.blob_key), AT + QUIET, AT))
    assert commits.submit(lambda unit: unit.studies.get(first.instance.study_id)).instance_count == 1


def _same_blob(key: str):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    other = arrival(instance="i2", content=b"2")
    return replace(other, instance=replace(other.instance, blob_key=key))


def test_a_failed_commit_fails_all(database: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the commit itself fails every write of the batch is Unavailable, and none is there."""
    commits = GroupCommitter(database, "dicom")

    def fail(_: SqlUnitOfWork) -> None:
        raise Unavailable("the database answered SQLITE_FULL")

    with monkeypatch.context() as patched:
        patched.setattr(SqlUnitOfWork, "commit", fail)
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(commits.submit, lambda unit: _record(unit, "x")) for _ in range(8)]
            assert all(isinstance(future.exception(30), Unavailable) for future in futures)
    assert commits.submit(lambda unit: _record(unit, "after")) == "after"
    commits.stop()
    assert _subjects(database) == ["after"]


def test_a_full_queue_is_busy_and_stop_drains(database: SqlDatabase) -> None:
    """What is over the bound is refused at once; what was taken is committed before stop returns."""
    commits = GroupCommitter(database, "dicom", max_batch=1, max_waiting=2)
    running, go_on = threading.Event(), threading.Event()

    def slow(unit: UnitOfWork) -> str:
        running.set()
        assert go_on.wait(30)
        return _record(unit, "slow")

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(commits.submit, slow)
        assert running.wait(30)
        waiting = [pool.submit(commits.submit, lambda unit: _record(unit, "waiting")) for _ in range(3)]
        refused = next(future for future in _as_completed(waiting))
        assert isinstance(refused.exception(30), Busy)
        stopping = pool.submit(commits.stop)
        go_on.set()
        stopping.result(30)
        assert first.result(30) == "slow"
    assert _subjects(database) == ["slow", "waiting", "waiting"]
    with pytest.raises(Unavailable):
        commits.submit(lambda unit: _record(unit, "too late"))


def test_what_lingers_shares_a_transaction(database: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that lingers is committed with the one that comes after it; alone, it is committed all the same."""
    monkeypatch.setattr(group_commit, "_LINGER_SECONDS", 20.0)
    commits = GroupCommitter(database, "dicom")
    begun: list[str] = []
    begin = database.begin
    monkeypatch.setattr(database, "begin", lambda actor: begun.append(actor) or begin(actor))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(commits.submit, lambda unit: _record(unit, "closed"), lingering=True)
        while not commits._waiting:
            assert not waiting.done()
        assert commits.submit(lambda unit: _record(unit, "opened")) == "opened"
        assert waiting.result(30) == "closed"
    assert len(begun) == 1
    monkeypatch.setattr(group_commit, "_LINGER_SECONDS", 0.01)
    assert commits.submit(lambda unit: _record(unit, "alone"), lingering=True) == "alone"
    commits.stop()
    assert _subjects(database) == ["closed", "opened", "alone"]


def _as_completed(futures):  # type: ignore[no-untyped-def]
    from concurrent.futures import as_completed

    return as_completed(futures, timeout=30)


def test_who_gives_up_is_told_so(database: SqlDatabase) -> None:
    """A submitter that waits too long gets Unavailable, and a write that had not begun is not run."""
    commits = GroupCommitter(database, "dicom", timeout_seconds=0.2)
    running, go_on = threading.Event(), threading.Event()

    def slow(unit: UnitOfWork) -> None:
        running.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(commits.submit, slow)
        assert running.wait(30)
        with pytest.raises(Unavailable):
            commits.submit(lambda unit: _record(unit, "given up"))
        assert isinstance(first.exception(30), Unavailable)
        go_on.set()
    commits.stop()
    assert _subjects(database) == []


def test_a_mistake_in_a_write_does_not_end_the_thread(database: SqlDatabase, commits: GroupCommitter) -> None:
    """Any exception goes to the one who submitted it, and the next write is served."""
    with pytest.raises(ZeroDivisionError):
        commits.submit(lambda unit: 1 // 0)
    assert commits.submit(lambda unit: _record(unit, "next")) == "next"


def test_a_mistake_of_ours_is_a_fault(database: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that raises what no table knows is a Fault for its batch, and the thread lives on."""
    commits = GroupCommitter(database, "dicom")
    with monkeypatch.context() as patched:
        patched.setattr(SqlUnitOfWork, "commit", lambda _: 1 // 0)
        with pytest.raises(Fault):
            commits.submit(lambda unit: _record(unit, "x"))
    assert commits.submit(lambda unit: _record(unit, "next")) == "next"
    commits.stop()


CHILD = """
import sys, threading
from harness.rows import AT, QUIET, arrival, patient_row
from gateway.storage.audit_trail import AuditKey
from gateway.storage.database import SqlDatabase
from gateway.storage.group_commit import GroupCommitter
database = SqlDatabase(sys.argv[1], AuditKey("test-1", b"k" * 32))
with database.begin("setup") as unit:
    unit.identities.add_patient(patient_row())
    unit.commit()
commits = GroupCommitter(database, "dicom")
say = threading.Lock()
def send(thread):
    for number in range(100_000):
        one = arrival(f"s{thread}", f"i{number}", b"%d" % number)
        commits.submit(lambda unit: unit.studies.receive(one, AT + QUIET, AT))
        with say:
            sys.stdout.write(one.instance.id + "\\n"); sys.stdout.flush()
for thread in range(8):
    threading.Thread(target=send, args=(thread,)).start()
"""


def test_kill_9_loses_nothing_acknowledged(database_url: str) -> None:
    """After SIGKILL in the midst of a load from eight threads, every acknowledged instance is in the database."""
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, database_url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'tests'}"},
    )
    assert child.stdout is not None
    acknowledged = {child.stdout.readline().strip() for _ in range(300)}
    child.send_signal(signal.SIGKILL)
    lines = child.stdout.read().splitlines(keepends=True)
    acknowledged |= {line.strip() for line in lines if line.endswith("\n")}
    child.wait(30)
    database = SqlDatabase(database_url, AuditKey("test-1", b"k" * 32))
    with database.read() as unit:
        studies = unit.studies.newest(100)
        kept = {one.id for study in studies for one in unit.studies.instances(study.id)}
        counts = sum(study.instance_count for study in studies)
        recorded = {row.entry.subject_id for row in unit.audit.newest(limit=100_000, event="instance:receive")}
    database.close()
    assert len(acknowledged) >= 300
    assert acknowledged <= kept
    assert counts == len(kept)
    assert recorded == kept


def test_a_busy_write_is_tried_again(database: SqlDatabase, commits: GroupCommitter) -> None:
    """A write that PostgreSQL has picked as a deadlock's victim (Busy) is tried in three batches, then refused."""
    tries: list[int] = []

    def busy(unit: UnitOfWork, until: int) -> str:
        tries.append(until)
        if len(tries) < until:
            raise Busy("the database answered SQLSTATE 40P01")
        return _record(unit, "at last")

    assert commits.submit(lambda unit: busy(unit, 3)) == "at last"
    assert len(tries) == 3
    tries.clear()
    with pytest.raises(Busy):
        commits.submit(lambda unit: busy(unit, 7))
    assert _subjects(database) == ["at last"]
