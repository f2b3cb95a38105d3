"""The record of de-identification of a study, made from its rows."""

from __future__ import annotations

from typing import Any

import pytest
from harness.rows import arrival, receive

from gateway.domain.clearance import Deidentification
from gateway.domain.ids import StudyId
from gateway.flow.privacy_record import NotCleared, PrivacyRecord, privacy_record
from gateway.storage.database import SqlDatabase

ONE = Deidentification("inference", "2026d", ("113100", "113105"), {"remove": 3, "uid": 2})
OTHER = Deidentification("inference", "2026d", ("113100", "113101"), {"remove": 1})


def record_of(database: SqlDatabase, *objects: dict[str, Any]) -> PrivacyRecord:
    """Objects with these decisions (event, reason), in one study."""
    study_id = StudyId("")
    with database.begin("check") as unit:
        for number, each in enumerate(objects):
            what = arrival("s1", f"i{number}", bytes([number]), clearance="unchecked", pixels="unsearched")
            object.__setattr__(what.instance, "deidentification", each.get("done"))
            receive(unit, what)
            study_id = what.instance.study_id
            if "event" in each:
                unit.clearances.decide(what.instance, each["event"], each.get("reason"), pixels=each.get("pixels"))
        unit.commit()
    with database.read() as unit:
        return privacy_record(unit, study_id)


def test_counts_are_summed_over_the_objects(sqlite_database: SqlDatabase) -> None:
    """Profile, edition and methods once, actions added up, clearances and pixels counted."""
    record = record_of(
        sqlite_database,
        {"done": ONE, "event": "clear", "pixels": "exempt"},
        {"done": OTHER, "event": "clear", "pixels": "exempt"},
    )
    assert (record.objects, record.profiles, record.editions) == (2, ("inference",), ("2026d",))
    assert record.methods == (
        ("113100", "Basic Application Confidentiality Profile"),
        ("113101", "Clean Pixel Data Option"),
        ("113105", "Clean Descriptors Option"),
    )
    assert record.actions == {"remove": 4, "uid": 2}
    assert (record.clearances, record.pixels) == ({"cleared": 2}, {"exempt": 2})
    assert record.verdict == "passed"
    assert record.checked_at is not None
    assert record.not_cleared == ()


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ((), "waiting"),
        (("clear",), "passed"),
        (("clear", "mask"), "waiting"),
        (("clear", "hold"), "passed"),
        (("clear", "quarantine"), "refused"),
        (("mask", "quarantine"), "refused"),
    ],
)
def test_the_verdict_is_of_all_objects(sqlite_database: SqlDatabase, events: tuple[str, ...], verdict: str) -> None:
    """One refused object is named; one that is not decided about makes the study wait."""
    objects = [{"event": event} for event in events] or [{}]
    assert record_of(sqlite_database, *objects).verdict == verdict


def test_the_summary_hides_nothing_that_is_held(sqlite_database: SqlDatabase) -> None:
    """A study is not called passed while one of its objects waits for a person."""
    clear = {"event": "clear"}
    record = record_of(sqlite_database, clear, clear, {"event": "hold", "reason": "doubt"})
    assert (record.summary, record.worst) == ("2 of 3 cleared; 1 held", "held")


def test_reasons_are_told_with_how_often(sqlite_database: SqlDatabase) -> None:
    """Why a study has no report is read here: the most frequent reason first."""
    bad = {"event": "quarantine", "reason": "the checker found: private at (0009,1001)"}
    record = record_of(sqlite_database, {"event": "hold", "reason": "doubt"}, bad, bad)
    assert record.not_cleared == (NotCleared("quarantined", bad["reason"], 2), NotCleared("held", "doubt", 1))


def test_what_was_never_checked_has_no_time(sqlite_database: SqlDatabase) -> None:
    """An object that waits bears no time of a check and no profile that nobody recorded."""
    record = record_of(sqlite_database, {})
    assert (record.checked_at, record.profiles, record.clearances) == (None, (), {"unchecked": 1})
