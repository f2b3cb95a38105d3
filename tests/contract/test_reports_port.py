"""The Reports and Deliveries ports on every database."""

from __future__ import annotations

import pytest
from harness.rows import AT, content, finding, later, planned_task

from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import DeliveryId, ReportId
from gateway.domain.report import Delivery, Report
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork


def _registered(unit: SqlUnitOfWork, study: str = "s1", seconds: float = 0) -> Report:
    found, _ = planned_task(unit, study)
    return unit.reports.register(found, later(seconds))


def _delivery(unit: SqlUnitOfWork) -> Delivery:
    (delivery,) = unit.deliveries.plan(_registered(unit), ["ehr"], AT)
    return delivery


def test_register_is_idempotent_and_readable(database: SqlDatabase) -> None:
    """A study has one report; it is readable as version 1 without content before anything is composed."""
    with database.begin("settle") as unit:
        study, _ = planned_task(unit)
        report = unit.reports.register(study, AT)
        assert unit.reports.register(study, later(5)) == report
        assert unit.reports.get(report.id) == report == Report(report.id, study.id, "registered", 1, AT, AT)
        (version,) = unit.reports.versions(report.id)
    assert (version.version, version.status, version.revision, version.content) == (1, "registered", 1, None)


def test_write_adds_a_version(database: SqlDatabase) -> None:
    """Each move writes the next version, which is read back exactly, and leaves the former as they were."""
    with database.begin("w1") as unit:
        study, task = planned_task(unit)
        registered = unit.reports.register(study, AT)
        said = content(finding(task))
        report = unit.reports.write(registered, "compose", 1, said, later(1))
        signed = unit.reports.write(report, "sign", 1, content(conclusion="Signed"), later(2))
        unit.commit()
    with database.read() as unit:
        assert unit.reports.get(report.id) == signed == Report(report.id, study.id, "final", 3, AT, later(2))
        assert unit.reports.version(report.id, 2).content == said
        assert [one.status for one in unit.reports.versions(report.id)] == ["registered", "preliminary", "final"]
        events = [row.entry.event for row in unit.audit.rows() if row.entry.event.startswith("report:")]
    assert events == ["report:register", "report:compose", "report:sign"]


def test_write_over_a_newer_version_is_a_conflict(database: SqlDatabase) -> None:
    """Who read an older version cannot write, even where the status allows the same move again."""
    with database.begin("w1") as unit:
        registered = _registered(unit)
        first = unit.reports.write(registered, "compose", 1, content(), later(1))
        unit.reports.write(first, "compose", 2, content(), later(2))
        with pytest.raises(Conflict):
            unit.reports.write(first, "compose", 2, content(), later(3))
        with pytest.raises(Conflict):
            unit.reports.write(registered, "amend", 1, content(), later(3))
        assert unit.reports.get(registered.id).version == 3


def test_find_combines_conditions(database: SqlDatabase) -> None:
    """Studies, statuses and times are joined by AND; no studies means nothing, None means all."""
    with database.begin("tester") as unit:
        one, two, three = (_registered(unit, f"s{n}", n) for n in (1, 2, 3))
        two = unit.reports.write(two, "compose", 1, content(), later(9))
        assert [report.id for report in unit.reports.find(limit=10)] == [two.id, three.id, one.id]
        assert unit.reports.find(studies=[], limit=10) == []
        assert unit.reports.find(studies=[one.study_id, two.study_id], statuses=["preliminary"], limit=10) == [two]
        assert unit.reports.find(statuses=[], limit=10) == []
        assert unit.reports.find(updated_from=later(1), updated_before=later(9), limit=10) == [three, one]


def test_find_pages_without_gap_or_repetition(database: SqlDatabase) -> None:
    """Pages that start after the last row of the one before give every report once, even at equal times."""
    with database.begin("tester") as unit:
        made = {_registered(unit, f"s{number}", number // 3).id for number in range(7)}
        seen: list[ReportId] = []
        page = unit.reports.find(limit=2)
        while page:
            seen += [report.id for report in page]
            page = unit.reports.find(limit=2, after=(page[-1].updated_at, page[-1].id))
    assert len(seen) == 7
    assert set(seen) == made


def test_missing_reports(database: SqlDatabase) -> None:
    """What does not exist is Missing; an unknown report has no versions."""
    with database.begin("tester") as unit:
        report = _registered(unit)
        with pytest.raises(Missing):
            unit.reports.get(ReportId("none"))
        with pytest.raises(Missing):
            unit.reports.version(report.id, 2)
        assert unit.reports.versions(ReportId("none")) == []


def test_deliveries_are_planned_once(database: SqlDatabase) -> None:
    """One delivery for each version and destination, however often it is planned."""
    with database.begin("w1") as unit:
        report = _registered(unit)
        planned = unit.deliveries.plan(report, ["ehr", "archive"], AT)
        assert unit.deliveries.plan(report, ["ehr", "archive"], later(9)) == planned
        assert {one.destination for one in unit.deliveries.of_report(report.id)} == {"ehr", "archive"}
        assert [one.destination for one in unit.deliveries.due("ehr", AT, 10)] == ["ehr"]
        assert unit.deliveries.due("ehr", later(-1), 10) == []


def test_attempt_is_a_lease(database: SqlDatabase) -> None:
    """One sender at a time: another gets nothing until the lease has expired, and the next attempt then."""
    with database.begin("deliver") as unit:
        delivery = _delivery(unit)
        first = unit.deliveries.attempt(delivery.id, AT, later(30))
        assert first is not None
        assert (first.state, first.attempt, first.lease_until) == ("sending", 1, later(30))
        assert unit.deliveries.attempt(delivery.id, later(29), later(60)) is None
        assert unit.deliveries.due("ehr", later(29), 10) == []
        assert [one.id for one in unit.deliveries.due("ehr", later(30), 10)] == [delivery.id]
        second = unit.deliveries.attempt(delivery.id, later(30), later(60))
        assert second is not None
        assert second.attempt == 2
        assert not unit.deliveries.acknowledge(first, "too late")
        assert unit.deliveries.acknowledge(second, "201 Created")
        assert unit.deliveries.of_report(delivery.report_id)[0].acknowledgement == "201 Created"


def test_a_deferred_delivery_waits(database: SqlDatabase) -> None:
    """A deferred delivery keeps its error and cannot be attempted before its time."""
    with database.begin("deliver") as unit:
        delivery = _delivery(unit)
        sending = unit.deliveries.attempt(delivery.id, AT, later(30))
        assert sending is not None
        assert unit.deliveries.defer(sending, later(60), "unavailable: connection refused")
        assert unit.deliveries.attempt(delivery.id, later(59), later(90)) is None
        again = unit.deliveries.attempt(delivery.id, later(60), later(90))
    assert again is not None
    assert (again.attempt, again.last_error) == (2, "unavailable: connection refused")


def test_dead_and_acknowledged_deliveries_can_be_replayed(database: SqlDatabase) -> None:
    """A dead or acknowledged delivery is due again at once; one that is under way is not replayed."""
    with database.begin("console") as unit:
        delivery = _delivery(unit)
        with pytest.raises(Conflict):
            unit.deliveries.replay(delivery.id, AT)
        sending = unit.deliveries.attempt(delivery.id, AT, later(30))
        assert sending is not None
        assert unit.deliveries.bury(sending, "invalid: refused")
        assert unit.deliveries.due("ehr", later(999), 10) == []
        assert unit.deliveries.replay(delivery.id, later(5))
        assert [one.id for one in unit.deliveries.due("ehr", later(5), 10)] == [delivery.id]
        with pytest.raises(Missing):
            unit.deliveries.replay(DeliveryId("none"), AT)


@pytest.mark.parametrize("end", ["bury", "acknowledge"])
def test_replayed_is_the_newest_version(database: SqlDatabase, end: str) -> None:
    """A version that was never planned for the destination goes there, and once it has ended, it is sent again."""
    with database.begin("console") as unit:
        first = _delivery(unit)
        getattr(unit.deliveries, end)(_attempted(unit, first), "said")
        composed = unit.reports.write(unit.reports.get(first.report_id), "compose", 1, content(), later(1))
        unit.deliveries.plan(composed, ["record"], later(1))
        for seconds in (5, 15):
            assert unit.deliveries.replay(first.id, later(seconds))
            (due,) = unit.deliveries.due("ehr", later(seconds), 10)
            assert (due.report_id, due.version) == (first.report_id, 2)
            getattr(unit.deliveries, end)(_attempted(unit, due, seconds), "said")
            first = due
        assert [one.version for one in unit.deliveries.due("record", later(99), 10)] == [2]


def test_replaying_an_old_delivery_sends_the_newest_again(database: SqlDatabase) -> None:
    """Where the newest version has ended at the destination too, that one is due; the old one stays acknowledged."""
    with database.begin("console") as unit:
        first = _delivery(unit)
        assert unit.deliveries.acknowledge(_attempted(unit, first), "said")
        composed = unit.reports.write(unit.reports.get(first.report_id), "compose", 1, content(), later(1))
        (second,) = unit.deliveries.plan(composed, ["ehr"], later(1))
        assert unit.deliveries.acknowledge(_attempted(unit, second, 2), "said")
        assert unit.deliveries.replay(first.id, later(5))
        states = {one.version: one.state for one in unit.deliveries.of_report(first.report_id)}
        assert states == {1: "acknowledged", 2: "pending"}


def _attempted(unit: SqlUnitOfWork, delivery: Delivery, seconds: float = 0) -> Delivery:
    sending = unit.deliveries.attempt(delivery.id, later(seconds), later(seconds + 30))
    assert sending is not None
    return sending


def test_a_superseded_delivery_is_not_due(database: SqlDatabase) -> None:
    """What a newer version has overtaken is never due again."""
    with database.begin("deliver") as unit:
        sending = unit.deliveries.attempt(_delivery(unit).id, AT, later(30))
        assert sending is not None
        assert unit.deliveries.supersede(sending)
        assert unit.deliveries.due("ehr", later(999), 10) == []
        assert unit.deliveries.attempt(sending.id, later(999), later(1000)) is None
        assert unit.deliveries.attempt(DeliveryId("none"), AT, later(1)) is None
