"""The order in which one patient's reports go to one destination, on every database."""

from __future__ import annotations

from harness.rows import AT, arrival, content, later, planned_task, receive

from gateway.domain.report import Delivery, Report
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork


def _report(unit: SqlUnitOfWork, study: str) -> Report:
    found, _ = planned_task(unit, study)
    return unit.reports.register(found, AT)


def _due(unit: SqlUnitOfWork, seconds: float, destination: str = "ehr") -> list[tuple[str, int]]:
    return [(one.report_id, one.version) for one in unit.deliveries.due(destination, later(seconds), 10)]


def _attempt(unit: SqlUnitOfWork, delivery: Delivery, seconds: float) -> Delivery:
    sending = unit.deliveries.attempt(delivery.id, later(seconds), later(seconds + 30))
    assert sending is not None
    return sending


def test_a_later_report_of_a_patient_does_not_overtake(database: SqlDatabase) -> None:
    """While an earlier one waits for its next attempt, the later one stays; acknowledged or dead, it goes."""
    with database.begin("deliver") as unit:
        first, second = _report(unit, "s1"), _report(unit, "s2")
        (one,) = unit.deliveries.plan(first, ["ehr"], AT)
        unit.deliveries.plan(second, ["ehr"], later(1))
        assert _due(unit, 2) == [(first.id, 1)]
        unit.deliveries.defer(_attempt(unit, one, 2), later(600), "unavailable")
        assert _due(unit, 3) == []
        assert _due(unit, 601) == [(first.id, 1)]
        unit.deliveries.bury(_attempt(unit, one, 601), "refused")
        assert _due(unit, 602) == [(second.id, 1)]


def test_another_patient_and_another_destination_are_not_held_up(database: SqlDatabase) -> None:
    """A destination that is out delays its own queue of this one patient, and nothing else."""
    with database.begin("deliver") as unit:
        mine = _report(unit, "s1")
        other = arrival("s9", patient="two")
        receive(unit, other, patient="two")
        theirs = unit.reports.register(unit.studies.get(other.instance.study_id), AT)
        one, _ = unit.deliveries.plan(mine, ["ehr", "archive"], AT)
        unit.deliveries.plan(theirs, ["ehr"], later(1))
        unit.deliveries.defer(_attempt(unit, one, 2), later(600), "unavailable")
        assert _due(unit, 3) == [(theirs.id, 1)]
        assert _due(unit, 3, "archive") == [(mine.id, 1)]


def test_a_new_version_does_not_wait_behind_its_own_former_one(database: SqlDatabase) -> None:
    """What waits of an earlier version is superseded when the next one is planned; what is being sent is not."""
    with database.begin("deliver") as unit:
        report = _report(unit, "s1")
        one, _ = unit.deliveries.plan(report, ["ehr", "archive"], AT)
        sending = _attempt(unit, one, 1)
        second = unit.reports.write(report, "compose", 1, content(), later(2))
        unit.deliveries.plan(second, ["ehr", "archive"], later(2))
        states = {(each.destination, each.version): each.state for each in unit.deliveries.of_report(report.id)}
        assert states == {
            ("ehr", 1): "sending",
            ("archive", 1): "superseded",
            ("ehr", 2): "pending",
            ("archive", 2): "pending",
        }
        assert _due(unit, 3) == []
        assert unit.deliveries.acknowledge(sending, "transaction: DiagnosticReport/1")
        assert _due(unit, 3) == [(report.id, 2)]


def test_the_strategy_stands_in_the_audit_trail(database: SqlDatabase) -> None:
    """The acknowledgement, which begins with the strategy used, is recorded with the move."""
    with database.begin("deliver") as unit:
        (one,) = unit.deliveries.plan(_report(unit, "s1"), ["ehr"], AT)
        unit.deliveries.acknowledge(_attempt(unit, one, 1), "docref-pdf: DocumentReference/7")
        unit.commit()
    with database.read() as unit:
        (row,) = unit.audit.newest(limit=1, event="delivery:acknowledge")
    assert row.entry.details["answer"] == "docref-pdf: DocumentReference/7"
