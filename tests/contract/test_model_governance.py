"""A stopped model runs nothing and its work stays in sight; where two people are asked, one is not enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.rows import later, model
from harness.ward import Ward

from gateway.domain.errors import Conflict, Invalid
from gateway.domain.ids import StudyId
from gateway.domain.report import Report, ReportContent, report_id
from gateway.domain.task import Task
from gateway.flow.govern import GovernModels, with_stops
from gateway.storage.database import SqlDatabase

BREAST, OTHER = model(), model("other")


@pytest.fixture
def ward(database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(database, tmp_path)
    made.announce(BREAST)
    return made


def test_no_task_of_a_stopped_model_is_claimed_or_announced(ward: Ward) -> None:
    """It waits as `todo` with the reason in sight, is planned for new studies too, and runs after the resume."""
    govern = GovernModels(ward.database, now=ward.clock)
    study = ward.push()
    ward.settle()
    (task,) = ward.tasks(study)
    assert govern.stop(BREAST.id, " it calls  everything benign ", "cli:anna") == 1
    assert ward.run(task.id) == "not ours"
    with ward.database.read() as unit:
        assert unit.tasks.unheld(later(9999), later(9999), 10) == []
        (shown,) = with_stops(unit, unit.tasks.of_study(study, 1))
    assert shown.state == "todo"
    assert shown.reason == "waits: its model was stopped (it calls everything benign)"
    ward.push("s2")
    ward.settle()
    assert govern.resume(BREAST.id, "cli:anna") == 2
    assert ward.run(task.id) == "done"
    assert ward.study(study).state == "reported"


def test_an_answer_under_way_is_dropped_when_its_model_is_stopped(ward: Ward) -> None:
    """Nothing of it is kept, however often it was tried, and the same task answers after the resume."""
    govern = GovernModels(ward.database, now=ward.clock)
    study = ward.push()
    ward.settle()
    (task,) = ward.tasks(study)

    def harm_seen() -> None:
        govern.stop(BREAST.id, "harm", "cli:anna")

    ward.inference.before = harm_seen
    assert ward.runner(max_attempts=1)(task.id) == "released"
    with ward.database.read() as unit:
        assert unit.tasks.findings(study, 1) == []
        assert unit.tasks.get(task.id).state == "todo"
    ward.inference.before = lambda: None
    govern.resume(BREAST.id, "cli:anna")
    assert ward.run(task.id) == "done"


def test_stopping_is_audited_once_and_wants_a_reason(ward: Ward) -> None:
    """The trail has who and why; a second stop, a resume of what runs and an empty reason are refused."""
    govern = GovernModels(ward.database, now=ward.clock)
    with pytest.raises(Invalid, match="reason"):
        govern.stop(BREAST.id, " \n", "cli:anna")
    with pytest.raises(Conflict, match="not stopped"):
        govern.resume(BREAST.id, "cli:anna")
    govern.stop(BREAST.id, "harm", "cli:anna")
    with pytest.raises(Conflict, match="already"):
        govern.stop(BREAST.id, "harm", "cli:ben")
    govern.resume(BREAST.id, "cli:ben")
    with ward.database.read() as unit:
        found = [row.entry for row in unit.audit.newest(limit=10) if row.entry.event in ("model:stop", "model:resume")]
    assert [(one.event, one.actor) for one in found] == [("model:resume", "cli:ben"), ("model:stop", "cli:anna")]
    assert found[1].details["reason"] == "harm"


def test_two_people_are_two_people(database: SqlDatabase) -> None:
    """With two approvals the first person's word is kept and changes nothing, said twice neither; the second acts."""
    draft = model("breast", "2.0.0", state="draft")
    with database.begin("worker") as unit:
        unit.models.announce(draft)
        unit.commit()
    govern = GovernModels(database, persons=2)
    waiting = govern.promote(draft.id, "cli:anna")
    assert waiting is not None
    assert waiting.by == "cli:anna"
    with pytest.raises(Conflict, match="another person"):
        govern.promote(draft.id, "cli:anna")
    with database.read() as unit:
        assert unit.models.get(draft.id).state == "draft"
    assert govern.promote(draft.id, "cli:ben") is None
    with database.read() as unit:
        assert unit.models.get(draft.id).state == "active"
        assert unit.governance.approvals() == []
        events = [row.entry.event for row in unit.audit.newest(limit=10)]
    assert events.count("model:approve") == 1


def test_a_stop_takes_back_what_one_person_approved(database: SqlDatabase) -> None:
    """Whoever approves before a stop has to approve again after it."""
    draft = model("breast", "2.0.0", state="draft")
    with database.begin("worker") as unit:
        unit.models.announce(draft)
        unit.commit()
    govern = GovernModels(database, persons=2)
    govern.promote(draft.id, "cli:anna")
    govern.stop(draft.id, "harm", "cli:ben")
    govern.resume(draft.id, "cli:ben")
    assert govern.promote(draft.id, "cli:ben") is not None


def _two_models(ward: Ward) -> tuple[StudyId, Task, Task]:
    """A study that two reported models were asked about: the task of the one to be stopped, and the other's."""
    ward.announce(OTHER)
    study = ward.push()
    ward.settle()
    tasks = {task.model_id: task for task in ward.tasks(study)}
    return study, tasks[BREAST.id], tasks[OTHER.id]


def _report(ward: Ward, study: StudyId) -> tuple[Report, ReportContent]:
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
    assert content is not None
    return report, content


def test_a_stopped_model_holds_up_no_other_ones_answer(ward: Ward) -> None:
    """Stopped before the other has answered: its report goes out and says that this one is missing. After the resume
    the next version has both."""
    govern = GovernModels(ward.database, now=ward.clock, compose=ward.compose)
    study, stopped, other = _two_models(ward)
    govern.stop(BREAST.id, "harm", "cli:anna")
    assert ward.run(other.id) == "done"
    report, content = _report(ward, study)
    assert (report.status, len(content.findings)) == ("preliminary", 1)
    assert [(one.model_id, one.outcome) for one in content.not_analysed] == [(BREAST.id, "stopped")]
    assert "harm" not in content.conclusion
    assert "not analysed (stopped)" in content.conclusion
    govern.resume(BREAST.id, "cli:anna")
    assert ward.run(stopped.id) == "done"
    later_on, content = _report(ward, study)
    assert later_on.version > report.version
    assert (len(content.findings), content.not_analysed) == (2, ())


def test_a_stop_lets_the_reports_go_that_waited_for_the_model(ward: Ward) -> None:
    """Stopped after the other has answered: the stop itself writes the report; it is delivered like any."""
    govern = GovernModels(ward.database, now=ward.clock, compose=ward.compose)
    study, _, other = _two_models(ward)
    assert ward.run(other.id) == "done"
    assert ward.study(study).state == "analysing"
    govern.stop(BREAST.id, "harm", "cli:anna")
    report, content = _report(ward, study)
    assert (ward.study(study).state, report.status, len(content.findings)) == ("reported", "preliminary", 1)
    with ward.database.read() as unit:
        sent = {each.destination for each in unit.deliveries.of_report(report.id) if each.version == report.version}
        assert unit.recalls.under_way(BREAST.id, 10) == [study]
    assert sent == {"record", "ehr"}
    govern.resume(BREAST.id, "cli:anna")
    govern.stop(BREAST.id, "again", "cli:anna")
    assert _report(ward, study)[0].version == report.version


def test_what_comes_after_a_signature_changes_no_report(ward: Ward) -> None:
    """A physician has signed without the stopped model: its answer is kept, and the signed version stays."""
    govern = GovernModels(ward.database, now=ward.clock, compose=ward.compose)
    study, stopped, other = _two_models(ward)
    govern.stop(BREAST.id, "harm", "cli:anna")
    assert ward.run(other.id) == "done"
    report, content = _report(ward, study)
    with ward.database.begin("physician") as unit:
        unit.reports.write(report, "sign", 1, content, ward.now)
        unit.commit()
    govern.resume(BREAST.id, "cli:anna")
    assert ward.run(stopped.id) == "done"
    signed, content = _report(ward, study)
    assert (signed.status, len(content.findings)) == ("final", 1)
    with ward.database.read() as unit:
        assert len(unit.tasks.findings(study, 1)) == 2
