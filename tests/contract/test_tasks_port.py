"""The Tasks port on every database: lease, fencing token, publishing, findings."""

from __future__ import annotations

import math

import pytest
from harness.rows import AT, finding, later, model, planned_task

from gateway.domain.errors import Conflict, Fault, Invalid, Missing
from gateway.domain.ids import FindingId, StudyId, TaskId
from gateway.domain.task import Task
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork

LEASE = later(45)


def _claimed(unit: SqlUnitOfWork) -> Task:
    _, task = planned_task(unit)
    claimed = unit.tasks.claim(task.id, "w1", AT, LEASE)
    assert claimed is not None
    return claimed


def test_planning_twice_plans_once(database: SqlDatabase) -> None:
    """A task is derived from study, revision and model; planning it again returns the one that is there."""
    with database.begin("settle") as unit:
        study, task = planned_task(unit)
        assert (task.state, task.attempt, task.priority, task.created_at) == ("todo", 0, "routine", AT)
        unit.tasks.claim(task.id, "w1", AT, LEASE)
        assert [one.state for one in unit.tasks.plan(study, [model()], later(9))] == ["doing"]
        assert unit.tasks.of_study(study.id, study.revision) == [unit.tasks.get(task.id)]
        assert unit.tasks.of_study(study.id, 2) == []


def test_claim_takes_the_next_attempt(database: SqlDatabase) -> None:
    """Claiming gives the task to its owner with the next attempt number and a lease."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
    assert (task.state, task.attempt, task.owner, task.lease_until) == ("doing", 1, "w1", LEASE)


def test_a_living_lease_is_not_taken(database: SqlDatabase) -> None:
    """Another worker gets nothing while the lease lives, and the next attempt when it has expired."""
    with database.begin("w2") as unit:
        task = _claimed(unit)
        assert unit.tasks.claim(task.id, "w2", later(44), later(90)) is None
        taken = unit.tasks.claim(task.id, "w2", LEASE, later(90))
    assert taken is not None
    assert (taken.attempt, taken.owner) == (2, "w2")


def test_a_finished_or_unknown_task_is_not_claimed(database: SqlDatabase) -> None:
    """A doorbell for a task that has ended, or that this database does not know, is for nobody."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.tasks.finish(task, finding(task))
        assert unit.tasks.claim(task.id, "w2", later(100), later(200)) is None
        assert unit.tasks.claim(TaskId("none"), "w2", AT, LEASE) is None


def test_an_overtaken_worker_changes_nothing(database: SqlDatabase) -> None:
    """Who holds an older attempt can neither renew, finish nor end the task, and leaves no finding."""
    with database.begin("w1") as unit:
        old = _claimed(unit)
        assert unit.tasks.claim(old.id, "w2", LEASE, later(90)) is not None
        assert not unit.tasks.renew(old, later(500))
        assert not unit.tasks.finish(old, finding(old))
        assert not unit.tasks.end(old, "fail", "late")
        assert unit.tasks.findings(old.study_id, old.revision) == []
        assert unit.tasks.get(old.id).owner == "w2"


def test_renew_moves_the_lease(database: SqlDatabase) -> None:
    """The holder of the attempt extends its lease."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.tasks.renew(task, later(500))
        assert unit.tasks.get(task.id).lease_until == later(500)


def test_finish_writes_the_finding(database: SqlDatabase) -> None:
    """Done and the finding are one transaction, and the finding is read back exactly."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        found = finding(task)
        assert unit.tasks.finish(task, found)
        assert not unit.tasks.finish(task, found)
        unit.commit()
    with database.read() as unit:
        assert unit.tasks.get(task.id).state == "done"
        assert unit.tasks.findings(task.study_id, task.revision) == [found]
        assert unit.tasks.finding(found.id) == found
        assert unit.tasks.count_open() == 0
        last = unit.audit.newest(limit=1)[0].entry
    assert (last.event, last.details["finding"], last.details["attempt"]) == ("task:finish", found.id, 1)


def test_a_finding_that_json_cannot_carry_is_refused(database: SqlDatabase) -> None:
    """A probability that is not a number is refused when it is written, not when it is read."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        with pytest.raises(Invalid):
            unit.tasks.finish(task, finding(task, probability=math.nan))


def test_a_finding_of_another_task_is_a_fault(database: SqlDatabase) -> None:
    """A finding is written for its own task only."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        _, other = planned_task(unit, "s2")
        with pytest.raises(Fault):
            unit.tasks.finish(task, finding(other))


@pytest.mark.parametrize(("event", "state"), [("refuse", "refused"), ("fail", "failed"), ("release", "todo")])
def test_end_keeps_the_reason(database: SqlDatabase, event: str, state: str) -> None:
    """A refused, failed or released task keeps the reason."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.tasks.end(task, event, "because")  # type: ignore[arg-type]
        ended = unit.tasks.get(task.id)
    assert (ended.state, ended.reason, ended.attempt) == (state, "because", 1)


def test_what_was_never_published_is_unheld(database: SqlDatabase) -> None:
    """A new task is unheld until it is published, and again when its hint counts as lost."""
    with database.begin("publish") as unit:
        _, task = planned_task(unit)
        assert [one.id for one in unit.tasks.unheld(AT, later(-30), 10)] == [task.id]
        unit.tasks.mark_published([task.id], AT)
        assert unit.tasks.unheld(later(29), later(-1), 10) == []
        assert [one.id for one in unit.tasks.unheld(later(31), later(1), 10)] == [task.id]
        unit.tasks.mark_published([], AT)


def test_an_expired_lease_is_unheld_once_for_each_pause(database: SqlDatabase) -> None:
    """A task whose worker fell silent is announced when its lease ends, and not again until the hint is old."""
    with database.begin("publish") as unit:
        _, task = planned_task(unit)
        unit.tasks.mark_published([task.id], AT)
        unit.tasks.claim(task.id, "w1", AT, later(2))
        assert unit.tasks.unheld(later(1), later(-29), 10) == []
        assert [one.id for one in unit.tasks.unheld(later(3), later(-27), 10)] == [task.id]
        unit.tasks.mark_published([task.id], later(3))
        assert unit.tasks.unheld(later(4), later(-26), 10) == []
        assert [one.id for one in unit.tasks.unheld(later(40), later(10), 10)] == [task.id]


def test_a_released_task_waits_until_its_time(database: SqlDatabase) -> None:
    """A released task is announced at once, or not before the given time."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        unit.tasks.mark_published([task.id], AT)
        unit.tasks.end(task, "release", "unavailable", later(10))
        assert unit.tasks.unheld(later(9), later(-21), 10) == []
        assert [one.id for one in unit.tasks.unheld(later(10), later(-20), 10)] == [task.id]


def test_stat_comes_first_then_the_oldest(database: SqlDatabase) -> None:
    """Unheld tasks come STAT first and within a priority in the order in which they were planned."""
    with database.begin("publish") as unit:
        wanted = [planned_task(unit, name, priority)[1].id for name, priority in _STUDIES]
        found = [task.id for task in unit.tasks.unheld(AT, AT, 10)]
        assert [task.priority for task in unit.tasks.unheld(AT, AT, 2)] == ["stat", "stat"]
    assert set(found[:2]) == {wanted[1], wanted[3]}
    assert set(found[2:]) == {wanted[0], wanted[2]}


_STUDIES = (("s1", "routine"), ("s2", "stat"), ("s3", "routine"), ("s4", "stat"))


def test_withdraw_open_leaves_what_has_ended(database: SqlDatabase) -> None:
    """Only open tasks of earlier revisions are withdrawn."""
    with database.begin("dicom") as unit:
        task = _claimed(unit)
        assert unit.tasks.withdraw_open(task.study_id, 1) == 0
        assert unit.tasks.withdraw_open(task.study_id, 2) == 1
        assert unit.tasks.withdraw_open(task.study_id, 2) == 0
        assert not unit.tasks.finish(task, finding(task))
        assert unit.tasks.get(task.id).state == "withdrawn"


def test_a_move_that_no_table_has_is_a_conflict(database: SqlDatabase) -> None:
    """Ending a task that was never claimed is a Conflict."""
    with database.begin("w1") as unit:
        _, task = planned_task(unit)
        with pytest.raises(Conflict):
            unit.tasks.end(task, "fail", "never claimed")


def test_missing_tasks_and_findings(database: SqlDatabase) -> None:
    """What does not exist is Missing; a study without tasks has none."""
    with database.read() as unit:
        with pytest.raises(Missing):
            unit.tasks.get(TaskId("none"))
        with pytest.raises(Missing):
            unit.tasks.finding(FindingId("none"))
        assert unit.tasks.of_study(StudyId("none"), 1) == []
