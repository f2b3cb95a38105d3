"""govern: lets a model run, by one person or by two, stops it at once, and says what waits because of a stop.

A stop needs nobody's consent: the next claim of a task finds the model stopped, and an answer that is under way is
dropped. What is planned for it stays planned, in sight, until `resume`, or until `recall --mark` plans it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from gateway.domain.acceptance import Limits, why_not
from gateway.domain.errors import Conflict
from gateway.domain.governance import Approval, Stop, reason_of
from gateway.domain.ids import ModelId, StudyId
from gateway.domain.lifecycle import OPEN_TASK_STATES
from gateway.domain.model import ServedModel
from gateway.domain.report import report_id
from gateway.domain.task import Task
from gateway.flow.compose import HELD_BACK, ComposeReport
from gateway.ports import Database, UnitOfWork

MOST: Final = 100_000  # studies that wait for one model


@dataclass(frozen=True)
class GovernModels:
    """`persons` who must want a version before it is active: 1 or 2. `asked`: the limits of the acceptance run that it
    needs for that; None where none is needed."""

    database: Database
    persons: int = 1
    asked: Limits | None = None
    compose: ComposeReport = field(default_factory=lambda: ComposeReport(()))
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def promote(self, model_id: ModelId, actor: str) -> Approval | None:
        """Active when it returns None; else the approval that a second person has to join.

        Conflict where it is active already, the same person asks twice, or it needs an acceptance run and has none.
        """
        with self.database.begin(actor) as unit:
            self._check_accepted(unit, unit.models.get(model_id))
            waiting = self._first_of_two(unit, unit.models.get(model_id), actor)
            model = unit.models.get(model_id)
            if model.state == "active":
                raise Conflict(f"{model.name} {model.version} is active already")
            if unit.governance.stop_of(model_id) is not None:
                raise Conflict("the model is stopped; resume it first")
            if waiting is None:
                unit.models.activate(model.id)
                unit.governance.withdraw_approval(model.id)
            unit.commit()
        return waiting

    def _check_accepted(self, unit: UnitOfWork, model: ServedModel) -> None:
        reason = "" if model.state == "active" else not_accepted(unit, model, self.asked)
        if reason:
            raise Conflict(
                f"{model.name} {model.version} ({model.sha256[:12]}) cannot be active: {reason}; "
                "run `dxgate model accept FOLDER --data PATH` on the site's own cases (models.acceptance is required)"
            )

    def _first_of_two(self, unit: UnitOfWork, model: ServedModel, actor: str) -> Approval | None:
        if self.persons < 2:
            return None
        mine = Approval(model.id, self.now(), actor)
        known = unit.governance.approve(mine)
        if known is None:
            return mine
        if known.by == actor:
            raise Conflict(f"{actor} has approved it already; another person has to")
        return None

    def rollback(self, name: str, actor: str) -> ServedModel:
        """The version that was active before takes the place of the one that is; one person may."""
        with self.database.begin(actor) as unit:
            model = unit.models.previous(name)
            unit.models.activate(model.id)
            unit.governance.withdraw_approval(model.id)
            unit.commit()
        return model

    def stop(self, model_id: ModelId, reason: str, actor: str) -> int:
        """The number of open tasks that wait from now on. Conflict where it is stopped already.

        A stop that was cut short before every report was written is repeated for the others.
        """
        said = reason_of(reason)
        with self.database.begin(actor) as unit:
            is_new = unit.governance.stop(Stop(model_id, said, self.now(), actor))
            unit.governance.withdraw_approval(model_id)
            waiting = unit.governance.waiting().get(model_id, 0)
            unit.commit()
        self._report_without(model_id, actor)
        if not is_new:
            raise Conflict("the model is stopped already")
        return waiting

    def _report_without(self, model_id: ModelId, actor: str) -> None:
        """What other models have said of a study that waited for this one alone."""
        with self.database.read() as unit:
            studies = unit.recalls.under_way(model_id, MOST)
        for study_id in studies:
            with self.database.begin(actor) as unit:
                study = unit.studies.lock(study_id)
                if study.state == "analysing":  # else a version without the model is there already
                    self.compose(unit, study, self.now())
                    unit.commit()

    def resume(self, model_id: ModelId, actor: str) -> int:
        """The number of open tasks that go on. Conflict where it is not stopped, or was recalled."""
        with self.database.begin(actor) as unit:
            if unit.recalls.of_models([model_id]):
                raise Conflict("the model was recalled and cannot go on; a corrected one has another version")
            stop = unit.governance.stop_of(model_id)
            if stop is None or not unit.governance.resume(model_id):
                raise Conflict("the model is not stopped")
            waiting = unit.governance.waiting().get(model_id, 0)
            studies = unit.governance.left_out(model_id, stop.at, MOST)
            unit.commit()
        for study_id in studies:
            self._report_with(study_id, model_id, actor)
        return waiting

    def _report_with(self, study_id: StudyId, model_id: ModelId, actor: str) -> None:
        """What the model said before its stop, where a report was written without it or could not be."""
        with self.database.begin(actor) as unit:
            study = unit.studies.lock(study_id)
            if study.state == "analysing" or (study.state == "reported" and _leaves_out(unit, study_id, model_id)):
                self.compose(unit, study, self.now())
                unit.commit()


def not_accepted(unit: UnitOfWork, model: ServedModel, asked: Limits | None) -> str:
    """Why the model may not become active; empty where it may, or no acceptance is asked."""
    return "" if asked is None else why_not(model, unit.governance.acceptances(model, 1, judged=True), asked)


def _leaves_out(unit: UnitOfWork, study_id: StudyId, model_id: ModelId) -> bool:
    report = unit.reports.get(report_id(study_id))
    content = unit.reports.version(report.id, report.version).content
    told = content.not_analysed if content else ()
    return any((one.model_id, one.outcome) == (model_id, HELD_BACK) for one in told)


def with_stops(unit: UnitOfWork, tasks: Sequence[Task]) -> list[Task]:
    """Tasks as people are shown them: an open one of a stopped model says what it waits for."""
    stops = {stop.model_id: stop for stop in unit.governance.stops()} if tasks else {}
    return [
        replace(task, reason=f"waits: its model was stopped ({stops[task.model_id].reason})")
        if task.model_id in stops and task.state in OPEN_TASK_STATES
        else task
        for task in tasks
    ]
