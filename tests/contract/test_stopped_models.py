"""What a stopped model said or would say reaches no report, and nothing of it is lost when it goes on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from harness.rows import later, model
from harness.ward import Ward

from gateway.domain.errors import Conflict, Missing
from gateway.domain.governance import Stop
from gateway.domain.ids import StudyId
from gateway.domain.recall import Recall
from gateway.domain.report import ReportContent, report_id
from gateway.domain.task import Task, attempts_since_retry
from gateway.flow.govern import GovernModels
from gateway.flow.recall import RecallModel
from gateway.storage.database import SqlDatabase

BREAST, OTHER = model(), model("other")


@pytest.fixture
def ward(database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(database, tmp_path)
    made.announce(BREAST, OTHER)
    return made


def govern(ward: Ward) -> GovernModels:
    return GovernModels(ward.database, now=ward.clock, compose=ward.compose)


def asked(ward: Ward) -> tuple[StudyId, Task, Task]:
    """A study, the task of the model that is to be stopped, and the other one's."""
    study = ward.push()
    ward.settle()
    tasks = {task.model_id: task for task in ward.tasks(study)}
    return study, tasks[BREAST.id], tasks[OTHER.id]


def content(ward: Ward, study: StudyId) -> ReportContent:
    with ward.database.read() as unit:
        report = unit.reports.get(report_id(study))
        found = unit.reports.version(report.id, report.version).content
    assert found is not None
    return found


def speaking(ward: Ward, study: StudyId) -> set[str]:
    return {finding.made_by.model_id for finding in content(ward, study).findings}


def test_what_was_found_before_the_stop_is_held_back(ward: Ward) -> None:
    """Answered, not reported yet, then stopped: the report goes out without it and says so; the resume writes the
    next version with it, once."""
    study, mine, other = asked(ward)
    assert ward.run(mine.id) == "done"
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    assert ward.run(other.id) == "done"
    assert speaking(ward, study) == {OTHER.id}
    assert [(one.model_id, one.outcome) for one in content(ward, study).not_analysed] == [(BREAST.id, "stopped")]
    govern(ward).resume(BREAST.id, "cli:anna")
    assert speaking(ward, study) == {BREAST.id, OTHER.id}
    with ward.database.read() as unit:
        version = unit.reports.get(report_id(study)).version
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    govern(ward).resume(BREAST.id, "cli:anna")
    with ward.database.read() as unit:
        assert unit.reports.get(report_id(study)).version == version


def test_where_every_model_is_stopped_the_first_that_goes_on_is_reported(ward: Ward) -> None:
    """One had answered and one had not: no report while both are stopped, then one that names the other."""
    study, mine, _ = asked(ward)
    assert ward.run(mine.id) == "done"
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    govern(ward).stop(OTHER.id, "harm", "cli:anna")
    assert ward.study(study).state == "analysing"
    govern(ward).resume(BREAST.id, "cli:anna")
    assert ward.study(study).state == "reported"
    assert speaking(ward, study) == {BREAST.id}


def test_a_task_that_was_set_aside_is_not_given_up_after_the_resume(ward: Ward) -> None:
    """The attempt that the stop cut short is not counted, be it an answer, a refusal or a failure."""
    study, mine, _ = asked(ward)

    def harm_seen() -> None:
        govern(ward).stop(BREAST.id, "harm", "cli:anna")

    for failure in (None, RuntimeError("broken"), Conflict("late")):
        ward.inference.before, ward.inference.failure = harm_seen, failure
        assert ward.runner(max_attempts=1)(mine.id) == "released"
        (task,) = [one for one in ward.tasks(study) if one.id == mine.id]
        assert (task.state, attempts_since_retry(task)) == ("todo", 0)
        govern(ward).resume(BREAST.id, "cli:anna")
    ward.inference.before, ward.inference.failure = (lambda: None), None
    assert ward.runner(max_attempts=1)(mine.id) == "done"


def test_a_resume_rings_for_what_waits_at_once(ward: Ward) -> None:
    """A task that was rung for before the stop is rung for again without waiting for the next look."""
    _, mine, _ = asked(ward)
    with ward.database.begin("publish") as unit:
        unit.tasks.mark_published([mine.id], ward.now)
        unit.commit()
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    govern(ward).resume(BREAST.id, "cli:anna")
    with ward.database.read() as unit:
        assert mine.id in {task.id for task in unit.tasks.unheld(ward.now, ward.now.replace(year=2000), 10)}


def test_no_stop_is_committed_between_the_look_and_the_answer(ward: Ward) -> None:
    """Whoever has seen that a model runs ends its task first; the stop waits, and is there when it returns."""
    if not ward.database.url.drivername.startswith("postgresql"):
        pytest.skip("SQLite has one writer")
    stopping = threading.Thread(target=govern(ward).stop, args=(BREAST.id, "harm", "cli:anna"))
    with ward.database.begin("worker:1") as unit:
        assert unit.governance.stopped() == frozenset()
        stopping.start()
        stopping.join(0.3)
        assert stopping.is_alive()
        assert unit.governance.stopped() == frozenset()
        unit.commit()
    stopping.join(30)
    with ward.database.read() as unit:
        assert unit.governance.stop_of(BREAST.id) is not None


def test_a_stop_that_was_cut_short_is_completed_by_the_next(ward: Ward) -> None:
    """Killed after its commit: the second stop is refused, and the report that waited is written."""
    study, _, other = asked(ward)
    assert ward.run(other.id) == "done"
    with ward.database.begin("cli:anna") as unit:
        assert unit.governance.stop(Stop(BREAST.id, "harm", ward.now, "cli:anna"))
        unit.commit()
    with pytest.raises(Conflict, match="already"):
        govern(ward).stop(BREAST.id, "harm", "cli:anna")
    assert speaking(ward, study) == {OTHER.id}


def test_a_stopped_model_takes_no_other_ones_place(ward: Ward) -> None:
    """Neither promotion, rollback nor the announcement of an older worker puts it in the place of what answers."""
    newer = model("breast", "2.0.0")
    ward.announce(newer)
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    with pytest.raises(Conflict, match="resume it first"):
        govern(ward).promote(BREAST.id, "cli:anna")
    with pytest.raises(Missing, match="neither stopped nor recalled"):
        govern(ward).rollback("breast", "cli:anna")
    ward.announce(BREAST)
    with ward.database.read() as unit:
        assert {one.id for one in unit.models.active()} == {newer.id, OTHER.id}
    govern(ward).resume(BREAST.id, "cli:anna")
    assert govern(ward).rollback("breast", "cli:anna").id == BREAST.id


def test_an_approval_ends_with_a_rollback_or_a_recall(ward: Ward) -> None:
    """What one person wanted before is not the first of two words afterwards."""
    two = GovernModels(ward.database, persons=2, now=ward.clock)
    newer = model("breast", "2.0.0")
    ward.announce(newer)
    assert two.promote(BREAST.id, "cli:anna") is not None
    two.rollback("breast", "cli:ben")
    assert two.promote(newer.id, "cli:anna") is not None
    RecallModel(ward.database).mark(newer.id, "harm", "cli:ben")
    with ward.database.read() as unit:
        assert unit.governance.approvals() == []


def test_what_a_recalled_model_had_found_reaches_no_report(ward: Ward) -> None:
    """Answered, not reported yet, then recalled: the other model's report goes out without it. It cannot be resumed."""
    study, mine, other = asked(ward)
    assert ward.run(mine.id) == "done"
    govern(ward).stop(BREAST.id, "harm", "cli:anna")
    RecallModel(ward.database).mark(BREAST.id, "harm", "cli:anna")
    with pytest.raises(Conflict, match="recalled"):
        govern(ward).resume(BREAST.id, "cli:anna")
    assert ward.run(other.id) == "done"
    assert speaking(ward, study) == {OTHER.id}


def test_no_task_of_a_recalled_model_is_run(ward: Ward) -> None:
    """Not even before the recall has planned its study anew."""
    _, mine, _ = asked(ward)
    with ward.database.begin("cli:anna") as unit:
        unit.recalls.add(Recall(BREAST.id, BREAST.name, BREAST.version, "harm", ward.now, "cli:anna"))
        unit.commit()
    assert ward.run(mine.id) == "not ours"
    with ward.database.read() as unit:
        assert mine.id not in {task.id for task in unit.tasks.unheld(later(9999), later(9999), 10)}
