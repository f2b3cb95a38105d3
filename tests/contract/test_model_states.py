"""What a person decides about a model stays decided; what runs in the shadow is kept and not reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.rows import AT, model
from harness.ward import Ward

from gateway.domain.errors import Missing
from gateway.domain.report import report_id
from gateway.storage.database import SqlDatabase

OLD, NEW = model("breast", "1.0.0"), model("breast", "1.1.0")


def states(database: SqlDatabase) -> dict[str, str]:
    with database.read() as unit:
        return {one.version: one.state for one in unit.models.all()}


def announce(database: SqlDatabase, *models: object) -> None:
    with database.begin("worker") as unit:
        for one in models:
            unit.models.announce(one)  # type: ignore[arg-type]
        unit.commit()


def test_a_decision_of_a_person_outlives_an_announcement(database: SqlDatabase) -> None:
    """After a rollback, workers that start again do not bring the newer version back; the trail names the person."""
    announce(database, OLD, NEW)
    assert states(database) == {"1.0.0": "retired", "1.1.0": "active"}
    with database.begin("cli:someone") as unit:
        assert unit.models.previous("breast").version == "1.0.0"
        assert unit.models.activate(unit.models.previous("breast").id)
        unit.commit()
    announce(database, OLD, NEW)
    assert states(database) == {"1.0.0": "active", "1.1.0": "retired"}
    with database.read() as unit:
        (row,) = [row for row in unit.audit.newest(limit=50, event="model:activate") if row.entry.actor != "worker"]
        assert (row.entry.actor, row.entry.details["version"]) == ("cli:someone", "1.0.0")
        assert unit.models.get(OLD.id).decided_by == "cli:someone"


def test_a_model_is_put_into_the_shadow_once(database: SqlDatabase) -> None:
    """Shadow and retired are states that a person gives; both run or do not run, and neither is active."""
    announce(database, OLD)
    with database.begin("cli") as unit:
        assert unit.models.decide(OLD.id, "shadow")
        assert not unit.models.decide(OLD.id, "shadow")
        assert [one.id for one in unit.models.running()] == [OLD.id]
        assert unit.models.active() == []
        assert unit.models.decide(OLD.id, "retired")
        assert unit.models.running() == []
        unit.commit()


def test_tasks_are_expected_for_what_runs_and_for_what_an_open_task_waits_for(
    database: SqlDatabase, tmp_path: Path
) -> None:
    """Active and shadow models, a retired one until its last task has ended; never a draft."""
    ward = Ward(database, tmp_path)
    shadow, draft = model("other", state="shadow"), model("third", state="draft")
    ward.announce(OLD, shadow, draft)
    study = ward.push()
    ward.settle()
    with database.begin("cli") as unit:
        assert unit.models.decide(OLD.id, "retired")
        assert unit.models.wanted() == {OLD.id, shadow.id}
        unit.commit()
    for task in ward.tasks(study):
        assert ward.run(task.id) == "done"
    with database.read() as unit:
        assert unit.models.wanted() == {shadow.id}


def test_there_is_nothing_to_go_back_to(database: SqlDatabase) -> None:
    """A name of which no other version was ever active cannot be rolled back."""
    announce(database, OLD)
    with database.read() as unit, pytest.raises(Missing, match="ever been active"):
        unit.models.previous("breast")


def test_a_model_in_the_shadow_is_not_reported(database: SqlDatabase, tmp_path: Path) -> None:
    """Its task runs, its finding is stored, the report speaks for the active model alone and does not wait."""
    ward = Ward(database, tmp_path)
    ward.announce(OLD, model("other", state="shadow"))
    study = ward.push()
    assert ward.settle() == 2
    tasks = {task.shadow: task for task in ward.tasks(study)}
    assert ward.run(tasks[False].id) == "done"
    with database.read() as unit:
        assert unit.reports.get(report_id(study)).status == "preliminary"
    assert ward.run(tasks[True].id) == "done"
    with database.read() as unit:
        assert len(unit.tasks.findings(study, 1)) == 2
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
    assert content is not None
    assert [one.task_id for one in content.findings] == [tasks[False].id]
    assert report.version == 2


def test_a_shadow_alone_leads_to_no_report(database: SqlDatabase, tmp_path: Path) -> None:
    """Where only a model in the shadow applies, the study stays settled and nothing is registered."""
    ward = Ward(database, tmp_path)
    ward.announce(model("other", state="shadow"))
    study = ward.push()
    assert ward.settle() == 1
    (task,) = ward.tasks(study)
    assert ward.run(task.id) == "done"
    assert ward.study(study).state == "settled"
    with database.read() as unit:
        assert len(unit.tasks.findings(study, 1)) == 1
        with pytest.raises(Missing):
            unit.reports.get(report_id(study))


def test_a_promotion_speaks_from_the_next_study_on(database: SqlDatabase, tmp_path: Path) -> None:
    """What was planned in the shadow stays out of the report, also when the model became active meanwhile."""
    ward = Ward(database, tmp_path)
    ward.announce(OLD, model("other", state="shadow"))
    study = ward.push()
    ward.settle()
    with database.begin("cli") as unit:
        assert unit.models.activate(model("other").id)
        unit.commit()
    for task in ward.tasks(study):
        ward.run(task.id)
    with database.read() as unit:
        report = unit.reports.get(report_id(study))
        content = unit.reports.version(report.id, report.version).content
    assert content is not None
    assert len(content.findings) == 1
    assert report.updated_at >= AT
