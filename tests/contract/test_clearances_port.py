"""The Clearances port on every database: who waits, guarded decisions, late release, counts."""

from __future__ import annotations

from typing import Any

import pytest
from harness.rows import AT, arrival, later, receive
from sqlalchemy import event

from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import InstanceId, StudyId
from gateway.domain.study import Instance
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork


def _unchecked(
    unit: SqlUnitOfWork, study: str = "s1", instance: str = "i1", seconds: float = 0, **more: object
) -> Instance:
    """An instance that has just been received."""
    what = arrival(study, instance, f"{study}{instance}".encode(), at=later(seconds), clearance="unchecked", **more)  # type: ignore[arg-type]
    receive(unit, what)
    return unit.clearances.get(what.instance.id)


def _settled(unit: SqlUnitOfWork, study_id: StudyId) -> None:
    assert unit.studies.settle(unit.studies.get(study_id), "quiet-time")


def test_an_unknown_instance_is_missing(database: SqlDatabase) -> None:
    """There is no row to decide about."""
    with database.read() as unit, pytest.raises(Missing):
        unit.clearances.get(InstanceId("none"))


def test_the_checker_gets_stat_first_then_the_oldest(database: SqlDatabase) -> None:
    """Priority of the study before time of arrival; what is decided does not come again."""
    with database.begin("receive") as unit:
        second = _unchecked(unit, "s1", "i2", 5)
        first = _unchecked(unit, "s1", "i1", 1)
        urgent = _unchecked(unit, "s2", "i1", 9, priority="stat")
        assert [one.id for one in unit.clearances.unchecked(9)] == [urgent.id, first.id, second.id]
        assert [one.id for one in unit.clearances.unchecked(1)] == [urgent.id]
        assert unit.clearances.decide(urgent, "clear", pixels="exempt")
        assert [one.id for one in unit.clearances.unchecked(9)] == [first.id, second.id]


def test_a_decision_is_written_with_reason_pixels_and_audit(database: SqlDatabase) -> None:
    """State, reason and what is known of the pixels change together, and the trail says so."""
    with database.begin("check") as unit:
        one = _unchecked(unit)
        assert unit.clearances.decide(one, "quarantine", "left at (0010,0010)")
        unit.commit()
    with database.read() as unit:
        now = unit.clearances.get(one.id)
        (row,) = unit.audit.newest(limit=5, event="instance:quarantine")
    assert (now.clearance, now.clearance_reason, now.pixels) == ("quarantined", "left at (0010,0010)", "exempt")
    assert (row.entry.subject_id, row.entry.actor) == (one.id, "check")
    assert row.entry.details == {"was": "unchecked", "study": one.study_id, "reason": "left at (0010,0010)"}


def test_a_decision_about_a_state_that_has_passed_changes_nothing(database: SqlDatabase) -> None:
    """Guarded by the state in which the instance was read."""
    with database.begin("check") as unit:
        one = _unchecked(unit)
        assert unit.clearances.decide(one, "hold", "a person has to look")
        assert not unit.clearances.decide(one, "clear")
        assert unit.clearances.get(one.id).clearance == "held"


def test_a_move_that_the_table_lacks_is_a_conflict(database: SqlDatabase) -> None:
    """A cleared object is not released."""
    with database.begin("check") as unit:
        one = _unchecked(unit)
        unit.clearances.decide(one, "clear")
        with pytest.raises(Conflict):
            unit.clearances.decide(unit.clearances.get(one.id), "release")


def test_a_study_waits_for_undecided_objects_alone(database: SqlDatabase) -> None:
    """It is due when none of its current objects is unchecked or masking; held and quarantined ones do not count."""
    with database.begin("check") as unit:
        one, other = _unchecked(unit, "s1", "i1"), _unchecked(unit, "s1", "i2")
        assert unit.studies.due(later(60), 9) == []
        unit.clearances.decide(one, "mask")
        unit.clearances.decide(other, "quarantine", "left")
        assert unit.studies.due(later(60), 9) == []
        unit.clearances.decide(unit.clearances.get(one.id), "hold", "doubt")
        assert [study.id for study in unit.studies.due(later(60), 9)] == [one.study_id]


def test_an_object_cleared_later_reopens_its_study(database: SqlDatabase) -> None:
    """A settled study goes back to receiving with its next revision, once for all objects cleared before it settles."""
    with database.begin("check") as unit:
        one, other = _unchecked(unit, "s1", "i1"), _unchecked(unit, "s1", "i2")
        unit.clearances.decide(one, "hold", "doubt")
        unit.clearances.decide(other, "hold", "doubt")
        _settled(unit, one.study_id)
        for held in (one, other):
            assert unit.clearances.decide(unit.clearances.get(held.id), "release", "seen", pixels="released")
        study = unit.studies.get(one.study_id)
        assert (study.state, study.revision) == ("settled", 1)
        for held in (one, other):
            assert unit.clearances.decide(unit.clearances.get(held.id), "clear")
        study = unit.studies.get(one.study_id)
        assert (study.state, study.revision) == ("receiving", 2)


def test_an_object_of_a_receiving_study_reopens_nothing(database: SqlDatabase) -> None:
    """The usual order, checked before it settles, leaves the revision alone."""
    with database.begin("check") as unit:
        one = _unchecked(unit)
        unit.clearances.decide(one, "clear")
        study = unit.studies.get(one.study_id)
    assert (study.state, study.revision) == ("receiving", 1)


def test_those_who_wait_come_in_pages(database: SqlDatabase) -> None:
    """Oldest first; the page after a row begins behind it, also among rows of one time."""
    with database.begin("check") as unit:
        every = [_unchecked(unit, "s1", f"i{number}", number // 2) for number in range(5)]
        for one in every:
            unit.clearances.decide(one, "hold", "doubt")
        first = unit.clearances.waiting(("held",), 2)
        rest = unit.clearances.waiting(("held",), 9, after=first[-1].id)
        assert {one.id for one in first + rest} == {one.id for one in every}
        assert len(first + rest) == 5
        assert [one.received_at for one in first + rest] == sorted(one.received_at for one in every)
        assert unit.clearances.waiting(("quarantined",), 9) == []


def test_counts_are_of_current_objects(database: SqlDatabase) -> None:
    """A version that was replaced is not counted."""
    with database.begin("check") as unit:
        one = _unchecked(unit, "s1", "i1")
        unit.clearances.decide(one, "clear")
        _unchecked(unit, "s1", "i2")
        receive(unit, arrival("s1", "i1", b"changed", at=AT, clearance="unchecked"))
        assert unit.clearances.counts(one.study_id) == {"unchecked": 2}


def test_what_waits_is_counted_up_to_a_limit(database: SqlDatabase) -> None:
    """Counting is for one state and ends where more would not be shown."""
    with database.begin("check") as unit:
        for number in range(3):
            assert unit.clearances.decide(_unchecked(unit, "s1", f"i{number}"), "hold", "doubt")
        _unchecked(unit, "s1", "i9")
        assert [unit.clearances.count("held", limit) for limit in (9, 3, 2)] == [3, 3, 2]
        assert unit.clearances.count("unchecked", 9) == 1
        assert unit.clearances.count("quarantined", 9) == 0


def test_what_waits_is_found_by_its_index(sqlite_database: SqlDatabase) -> None:
    """SQLite takes the partial index of uncleared instances; without it each look would read every instance kept."""
    asked: list[tuple[str, Any]] = []
    with sqlite_database.read() as unit:
        connection = unit._transaction._connection
        event.listen(connection, "before_cursor_execute", lambda *seen: asked.append((seen[2], seen[3])))
        unit.clearances.unchecked(9)
        unit.clearances.waiting(("held", "quarantined"), 9)
        unit.clearances.count("held", 9)
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", given).all() for words, given in asked[:3]]
    for plan in plans:
        assert any("ix_instance_uncleared" in row[3] for row in plan), plan
