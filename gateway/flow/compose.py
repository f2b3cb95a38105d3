"""compose: when the last open task of a revision has ended, its findings become one report version.

A task that waits because its model was stopped holds up nobody else's answer: the version says that it is not there
yet, and the next one has it. What the model had said before, and no report has told yet, is held back with it. A study
that no other model was asked about waits.

The version is preliminary (law 6), or cancelled where no model could answer; its deliveries are planned in the
same transaction, so that a report is never known without being on its way. What a model in the shadow says is kept
as a finding and stands in no report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.finding import Finding
from gateway.domain.lifecycle import OPEN_TASK_STATES, REPORT
from gateway.domain.report import RECORD, NotAnalysed, Report, ReportContent
from gateway.domain.study import Study
from gateway.domain.task import Task
from gateway.ports import UnitOfWork

NOTHING_ANALYSED = "No model could analyse this study."
STOPPED = "the model was stopped; its answer is not part of this report"
HELD_BACK = "stopped"
SILENCED = (*OPEN_TASK_STATES, "done")
"""States of tasks of which nothing is told while their model is stopped."""


@dataclass(frozen=True)
class ComposeReport:
    """Called inside the transaction that ends a task, with the study locked."""

    destinations: tuple[str, ...]

    def __call__(self, unit: UnitOfWork, study: Study, at: datetime) -> Report | None:
        """The report with its new version; None while tasks are open."""
        planned = unit.tasks.of_study(study.id, study.revision)
        tasks = [task for task in planned if task.state != "withdrawn" and not task.shadow]
        stopped = unit.governance.stopped()
        silent = [task for task in tasks if task.model_id in stopped and task.state in SILENCED]
        if len(silent) == len(tasks) or not set(_open(tasks)) <= set(silent):
            return None
        content = self._content(unit, study, tasks, silent)
        report = unit.reports.register(study, at)
        event = "compose" if content.findings else "cancel"
        if (report.status, event) not in REPORT.moves:
            unit.studies.move(study.id, "analysing", "report")
            return None  # signed already: what is newer waits for the physician, the machine changes nothing
        is_news = content.findings or report.status not in ("registered", "cancelled") or applied(unit, study, tasks)
        report = unit.reports.write(report, event, study.revision, content, at)
        unit.studies.move(study.id, "analysing", "report")
        # that a record lacks something, or an image is of another part of the body, is for who looks here
        unit.deliveries.plan(report, (RECORD, *self.destinations) if is_news else (RECORD,), at)
        if study.kind != "record" or not _open(planned):
            unit.records.touch_known(study.patient, at, at)  # rules may build on what was found; the same input ends it
        return report

    def after_shadow(self, unit: UnitOfWork, study: Study, at: datetime) -> None:
        """A record is looked at again when its last task has ended: that withdraws what is open, shadows too."""
        if study.kind == "record" and not _open(unit.tasks.of_study(study.id, study.revision)):
            unit.records.touch_known(study.patient, at, at)

    def _content(self, unit: UnitOfWork, study: Study, tasks: Sequence[Task], silent: Sequence[Task]) -> ReportContent:
        reported = {task.id for task in tasks} - {task.id for task in silent}
        found = unit.tasks.findings(study.id, study.revision)
        findings = tuple(finding for finding in found if finding.task_id in reported)
        not_analysed = tuple(
            NotAnalysed(task.model_id, unit.models.get(task.model_id).title, *_why_not(task, silent))
            for task in tasks
            if task in silent or task.state in ("refused", "failed")
        )
        return ReportContent(findings, not_analysed, conclusion(findings, not_analysed))


def applied(unit: UnitOfWork, study: Study, tasks: Sequence[Task]) -> bool:
    """Whether a model was asked about images that it is for."""
    if study.kind == "record":
        return False
    asked = [unit.models.get(task.model_id).applies_to for task in tasks]
    scopes = unit.studies.scopes(study.id, {modality for one in asked for modality in one.modalities})
    return any(one.accepts_any(scopes) for one in asked)


def _open(tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if task.state in OPEN_TASK_STATES]


def _why_not(task: Task, silent: Sequence[Task]) -> tuple[str, str]:
    """Outcome and reason; of a stop no more than that, as a report goes far."""
    if task in silent:
        return HELD_BACK, STOPPED
    return task.state, task.reason or ""


def conclusion(findings: Sequence[Finding], not_analysed: Sequence[NotAnalysed]) -> str:
    """The report's conclusion in words: what each model said, then what was not analysed and why."""
    lines = [finding.conclusion for finding in findings]
    if not findings:
        lines.append(NOTHING_ANALYSED)
    lines += [f"{item.model_title}: not analysed ({item.outcome}): {item.reason}" for item in not_analysed]
    return "\n".join(lines)
