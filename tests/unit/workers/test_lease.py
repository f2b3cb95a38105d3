"""The lease of a running task: renewed while it runs, given up when it runs too long."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from harness.rows import arrival, model, receive
from harness.ward import Ward

from gateway.domain.task import Task
from gateway.storage.database import SqlDatabase
from workers.lease import GIVEN_UP, HoldLease, renew_pixel_task, renew_task


@pytest.fixture
def ward(sqlite_database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(sqlite_database, tmp_path / "blobs")
    made.announce(model())
    return made


def claimed(ward: Ward) -> Task:
    study = ward.push()
    ward.settle()
    (task,) = ward.tasks(study)
    with ward.database.begin("worker:1") as unit:
        held = unit.tasks.claim(task.id, "worker:1", ward.now, ward.now)
        unit.commit()
    assert held is not None
    return held


def test_a_lease_is_renewed_while_the_task_runs(ward: Ward) -> None:
    """The lease in the table moves forward without the task doing anything for it."""
    task = claimed(ward)
    renewed = threading.Event()
    hold = HoldLease(ward.database, "worker:1", renew_task, timedelta(milliseconds=60), timedelta(seconds=60))

    def watch() -> None:
        while not renewed.is_set():
            with ward.database.read() as unit:
                if unit.tasks.get(task.id).lease_until != task.lease_until:
                    renewed.set()

    watcher = threading.Thread(target=watch, daemon=True)
    with hold(task):
        watcher.start()
        assert renewed.wait(20)
    watcher.join(5)


def test_the_lease_of_a_search_is_renewed_too(ward: Ward) -> None:
    """A search of pixels is held like a task, by its own rows."""
    with ward.database.begin("check") as unit:
        what = arrival("s9", "i9", b"pixels", clearance="unchecked", pixels="unsearched")
        receive(unit, what)
        assert unit.clearances.decide(what.instance, "mask", "may show text")
        task = unit.pixel_tasks.plan(what.instance, "routine", ward.now)
        held = unit.pixel_tasks.claim(task.id, "worker:1", ward.now, ward.now)
        unit.commit()
    assert held is not None
    hold = HoldLease(ward.database, "worker:1", renew_pixel_task, timedelta(milliseconds=30), timedelta(seconds=60))
    until = time.monotonic() + 20
    with hold(held):
        while time.monotonic() < until:
            with ward.database.read() as unit:
                if unit.pixel_tasks.get(task.id).lease_until != held.lease_until:
                    return
    raise AssertionError("the lease was not renewed")


def test_a_task_past_its_time_ends_the_process(ward: Ward) -> None:
    """A thread inside native code cannot be stopped, so the process gives up with a status of its own."""
    task = claimed(ward)
    given_up: list[int] = []
    over = threading.Event()

    def give_up(status: int) -> None:
        given_up.append(status)
        over.set()

    hold = HoldLease(
        ward.database, "worker:1", renew_task, timedelta(milliseconds=30), timedelta(milliseconds=1), give_up
    )
    with hold(task):
        assert over.wait(20)
    assert given_up == [GIVEN_UP]
