"""The PixelTasks port on every database: lease, fencing token, what a search leaves on its object, second tries."""

from __future__ import annotations

import pytest
from harness.rows import AT, arrival, later, receive

from gateway.domain.clearance import Box, MaskedContent, PixelFinding, PixelTask
from gateway.domain.errors import Missing
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.study import Instance, Priority
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork

LEASE = later(45)
BOX = Box(0, 1, 2, 30, 10, "top-hat", 0.75)
NEW, REMOVED, PREVIEW = (BlobKey(digit * 32) for digit in "abc")


def _finding(doubt: str | None = None, *boxes: Box) -> PixelFinding:
    return PixelFinding(3, 2, boxes, 0.125, doubt, ("top-hat", "ppocr"), "CPUExecutionProvider")


def _planned(
    unit: SqlUnitOfWork, instance: str = "i1", priority: Priority = "routine", seconds: float = 0
) -> PixelTask:
    what = arrival("s1", instance, instance.encode(), clearance="unchecked", pixels="unsearched")
    receive(unit, what)
    assert unit.clearances.decide(what.instance, "mask", "may show text")
    return unit.pixel_tasks.plan(what.instance, priority, later(seconds))


def _claimed(unit: SqlUnitOfWork) -> PixelTask:
    claimed = unit.pixel_tasks.claim(_planned(unit).id, "w1", AT, LEASE)
    assert claimed is not None
    return claimed


def _instance(unit: SqlUnitOfWork, task: PixelTask) -> Instance:
    return unit.clearances.get(task.id)


def test_a_task_that_was_not_planned_is_missing(database: SqlDatabase) -> None:
    """An unknown id is neither read nor claimed."""
    with database.begin("w1") as unit:
        with pytest.raises(Missing):
            unit.pixel_tasks.get(InstanceId("none"))
        assert unit.pixel_tasks.claim(InstanceId("none"), "w1", AT, LEASE) is None


def test_planning_twice_plans_once(database: SqlDatabase) -> None:
    """One search for each object; planning again does not take it from its holder."""
    with database.begin("check") as unit:
        task = _claimed(unit)
        again = unit.pixel_tasks.plan(_instance(unit, task), "stat", later(5))
    assert (again.state, again.attempt, again.owner, again.priority) == ("doing", 1, "w1", "routine")


def test_a_living_lease_is_not_taken(database: SqlDatabase) -> None:
    """Another worker gets the next attempt only when the lease has expired."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.pixel_tasks.claim(task.id, "w2", later(44), later(90)) is None
        taken = unit.pixel_tasks.claim(task.id, "w2", LEASE, later(90))
    assert taken is not None
    assert (taken.attempt, taken.owner) == (2, "w2")


def test_an_overtaken_worker_changes_nothing(database: SqlDatabase) -> None:
    """Who holds an older attempt can neither renew, finish nor end, and the object stays as it was."""
    with database.begin("w1") as unit:
        old = _claimed(unit)
        assert unit.pixel_tasks.claim(old.id, "w2", LEASE, later(90)) is not None
        assert not unit.pixel_tasks.renew(old, later(500))
        assert not unit.pixel_tasks.finish(old, _finding(), None, None)
        assert not unit.pixel_tasks.end(old, "fail", "late")
        assert _instance(unit, old).clearance == "masking"


def test_renew_moves_the_lease(database: SqlDatabase) -> None:
    """The holder of the attempt extends its lease."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.pixel_tasks.renew(task, later(500))
        assert unit.pixel_tasks.get(task.id).lease_until == later(500)


def test_a_clean_search_sends_the_object_back_to_the_checker(database: SqlDatabase) -> None:
    """Nothing found: the content stays, and the row says that it was searched."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        before = _instance(unit, task)
        assert unit.pixel_tasks.finish(task, _finding(), None, None)
        after, done = _instance(unit, task), unit.pixel_tasks.get(task.id)
    assert (after.clearance, after.pixels, after.blob_key) == ("unchecked", "clean", before.blob_key)
    assert (done.state, done.finding, done.lease_until) == ("done", _finding(), None)


def test_masked_content_replaces_the_object(database: SqlDatabase) -> None:
    """Blob, size, digest and transfer syntax are the new ones; the digest as received stays."""
    masked = MaskedContent(NEW, 77, b"d" * 32, "1.2.840.10008.1.2.1", REMOVED)
    with database.begin("w1") as unit:
        task = _claimed(unit)
        before = _instance(unit, task)
        assert unit.pixel_tasks.finish(task, _finding(None, BOX), masked, None)
        after = _instance(unit, task)
        assert not unit.clearances.decide(before, "quarantine", "about the old content")
    assert (after.clearance, after.pixels, after.blob_key, after.size) == ("unchecked", "masked", NEW, 77)
    assert (after.digest, after.content_digest, after.read_digest) == (before.digest, b"d" * 32, b"d" * 32)
    assert after.removed_pixels_key == REMOVED


def test_a_doubt_holds_the_object_for_a_person(database: SqlDatabase) -> None:
    """The doubt is the reason, the picture is kept, and the pixels do not count as searched."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.pixel_tasks.finish(task, _finding("text near the edge", BOX), None, PREVIEW)
        after = _instance(unit, task)
        assert unit.pixel_tasks.get(task.id).preview_key == PREVIEW
    assert (after.clearance, after.clearance_reason, after.pixels) == ("held", "text near the edge", "unsearched")


def test_a_failed_search_holds_the_object(database: SqlDatabase) -> None:
    """What could not be searched is not passed: a person has to look."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.pixel_tasks.end(task, "fail", "no decoder")
        after = _instance(unit, task)
    assert (after.clearance, after.clearance_reason) == ("held", "its pixels could not be searched: no decoder")


def test_a_released_attempt_waits_before_the_next(database: SqlDatabase) -> None:
    """The task is to do again, but not announced before its time."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        assert unit.pixel_tasks.end(task, "release", "busy", until=later(30))
        assert unit.pixel_tasks.unheld(later(29), later(29), 9) == []
        assert [one.id for one in unit.pixel_tasks.unheld(later(30), later(30), 9)] == [task.id]
        assert _instance(unit, task).clearance == "masking"


def test_an_ended_search_is_planned_again_with_the_boxes_of_a_person(database: SqlDatabase) -> None:
    """Attempts go on counting, so that a late worker of the first search is still fenced off."""
    with database.begin("w1") as unit:
        task = _claimed(unit)
        unit.pixel_tasks.finish(task, _finding("doubt", BOX), None, PREVIEW)
        assert unit.clearances.decide(_instance(unit, task), "mask", "name at the top")
        again = unit.pixel_tasks.plan(_instance(unit, task), "routine", later(60), asked=(BOX,))
        assert (again.state, again.attempt, again.retried_at, again.asked) == ("todo", 1, 1, (BOX,))
        claimed = unit.pixel_tasks.claim(task.id, "w2", later(61), later(90))
        assert claimed is not None
        assert claimed.attempt == 2
        assert not unit.pixel_tasks.finish(task, _finding(), None, None)


def test_those_that_nobody_holds_are_announced_stat_first(database: SqlDatabase) -> None:
    """Published ones only when their announcement is old, abandoned ones when their lease has expired."""
    with database.begin("publish") as unit:
        routine, stat = _planned(unit, "i1"), _planned(unit, "i2", "stat", 5)
        assert [one.id for one in unit.pixel_tasks.unheld(later(9), later(0), 9)] == [stat.id, routine.id]
        unit.pixel_tasks.mark_published([routine.id, stat.id], later(9))
        assert unit.pixel_tasks.unheld(later(10), later(0), 9) == []
        assert len(unit.pixel_tasks.unheld(later(60), later(30), 9)) == 2
        assert unit.pixel_tasks.claim(stat.id, "w1", later(10), LEASE) is not None
        assert [one.id for one in unit.pixel_tasks.unheld(later(44), later(0), 9)] == []
        assert [one.id for one in unit.pixel_tasks.unheld(LEASE, later(0), 9)] == [stat.id]
