"""The Studies page: what came in, newest first, and how far each study is. It shows no identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.errors import Invalid, Missing
from gateway.domain.ids import ModelId
from gateway.domain.model import ServedModel
from gateway.domain.report import Delivery, Report, report_id
from gateway.domain.study import Study
from gateway.domain.task import Task
from gateway.flow.govern import with_stops
from gateway.ports import UnitOfWork
from gateway.servers.web.console.page import View, Visit

ROWS = 25
WITHHELD = ("held", "quarantined", "rejected")


@dataclass(frozen=True)
class StudyRow:
    """A study with its tasks of the current revision, its report and that report's deliveries.

    `withheld` are its objects that no model may read, counted by state.
    """

    study: Study
    tasks: tuple[tuple[Task, str], ...]
    report: Report | None
    deliveries: tuple[Delivery, ...]
    withheld: Mapping[str, int]


def studies(visit: Visit) -> View:
    before = _time(visit.field("before"))
    found = visit.unit.studies.newest(ROWS + 1, before)
    models = {model.id: model for model in visit.unit.models.all()}
    rows = [study_row(visit.unit, study, models) for study in found[:ROWS]]
    older = rows[-1].study.last_received_at.isoformat() if len(found) > ROWS else None
    return View("studies.html", "studies", {"rows": rows, "older": older, "first": before is None})


def study_row(unit: UnitOfWork, study: Study, models: Mapping[ModelId, ServedModel]) -> StudyRow:
    titles = {str(key): f"{model.name} {model.version}" for key, model in models.items()}
    report = _report(unit, study)
    tasks = unit.tasks.of_study(study.id, study.revision)
    if not tasks and report is not None and study.kind == "record":  # looked at again, and nothing was new
        tasks = unit.tasks.of_study(study.id, unit.reports.version(report.id, report.version).revision)
    tasks = with_stops(unit, tasks)
    counts = unit.clearances.counts(study.id)
    return StudyRow(
        study=study,
        tasks=tuple((task, titles.get(task.model_id, task.model_id)) for task in tasks),
        report=report,
        deliveries=tuple(unit.deliveries.of_report(report.id)) if report else (),
        withheld={state: counts[state] for state in WITHHELD if state in counts},
    )


def _report(unit: UnitOfWork, study: Study) -> Report | None:
    try:
        return unit.reports.get(report_id(study.id))
    except Missing:
        return None


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise Invalid("the page link is malformed") from None
    if found.tzinfo is None:
        raise Invalid("the page link is malformed")
    return found
