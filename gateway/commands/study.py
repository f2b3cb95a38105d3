"""`dxgate study`: where a study stands, by pseudonymous id, and a second try for what failed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.commands.output import Row, actor, print_json, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import StudyId
from gateway.domain.report import Delivery, Report, report_id
from gateway.domain.study import Study
from gateway.domain.task import Task
from gateway.ports import UnitOfWork

if TYPE_CHECKING:
    from gateway.flow.privacy_record import PrivacyRecord

STUDY_COLUMNS = ("id", "kind", "state", "revision", "priority", "modalities", "instance_count", "last_received_at")
TASK_COLUMNS = ("id", "model_id", "state", "attempt", "owner", "reason")
NOT_ASKED = {
    "record": "no model was asked: nothing in the record is what one takes (results count that are final, not older "
    "than two years and not dated ahead)",
    "images": "no model was asked: of the objects that are cleared, none is what an active model reads",
}
AGREEMENT_COLUMNS = ("model", "outcome", "said", "reference", "answered_at", "compared_at")
DELIVERY_COLUMNS = ("id", "version", "destination", "state", "attempt", "due_at", "last_error")
RETRIED_STATES = ("failed", "refused")


def list_studies(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        rows = [row_of(study) for study in unit.studies.newest(arguments.limit)]
    print_rows(rows, STUDY_COLUMNS, as_json=arguments.json)
    return 0


def show(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from gateway import wiring
    from gateway.flow.govern import with_stops
    from gateway.flow.privacy_record import privacy_record

    with wiring.database(loaded.settings).read() as unit:
        study = unit.studies.get(StudyId(arguments.id))
        report = _report(unit, study)
        tasks = with_stops(unit, _tasks(unit, study, report))
        deliveries = unit.deliveries.of_report(report.id) if report else []
        record = privacy_record(unit, study.id)
        agreements = _agreements(unit, study)
    if arguments.json:
        document = _document(study, tasks, report, deliveries)
        print_json({**document, "final_reports": agreements, "privacy": _privacy(record)})
        return 0
    print_rows([row_of(study)], STUDY_COLUMNS, as_json=False)
    tell("")
    if study.kind == "images":
        _tell_privacy(record)
    else:
        tell("a patient's record: models are given named values without identity; there are no images")
    tell("")
    if not tasks and study.state == "settled":
        tell(NOT_ASKED[study.kind])
    else:
        print_rows([row_of(task) for task in tasks], TASK_COLUMNS, as_json=False)
    if report:
        tell(f"\nreport {report.id}: {report.status}, version {report.version}")
        print_rows([row_of(delivery) for delivery in deliveries], DELIVERY_COLUMNS, as_json=False)
    if agreements:
        tell("\nbeside the final reports received from other systems:")
        print_rows(agreements, AGREEMENT_COLUMNS, as_json=False)
    return 0


def retry(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Failed and refused tasks of the current revision go back to `todo`.

    A study that no model fitted, when it settled, is settled anew, with the models that are active now.
    """
    from gateway import wiring
    from gateway.flow.compose import applied

    with wiring.database(loaded.settings).begin(actor()) as unit:
        study = unit.studies.get(StudyId(arguments.id))
        if unit.studies.move(study.id, "settled", "reopen"):
            unit.commit()
            tell("the study is matched with the active models again")
            return 0
        ended = [task for task in unit.tasks.of_study(study.id, study.revision) if task.state in RETRIED_STATES]
        if not ended:
            raise Conflict("this study is not settled and has no failed or refused task")
        if study.kind == "images" and not applied(unit, study, ended) and unit.studies.reopen(study):
            unit.commit()
            tell("the study is matched with the active models again")
            return 0
        count = sum(unit.tasks.retry(task.id) for task in ended)
        unit.commit()
    tell(f"{count} task(s) to do again")
    return 0


def recheck(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Every quarantined object of a study goes to the checker again."""
    from gateway import wiring
    from gateway.flow.decide_held import DecideHeld

    opened = wiring.database(loaded.settings)
    with opened.read() as unit:
        instances = unit.studies.instances(unit.studies.get(StudyId(arguments.id)).id)
    quarantined = [one for one in instances if one.clearance == "quarantined"]
    if not quarantined:
        raise Conflict("this study has no quarantined object")
    decider = DecideHeld(opened, wiring.blobs(loaded.settings))
    for instance in quarantined:
        decider.recheck(instance.id, actor(), arguments.reason)
    tell(f"{len(quarantined)} object(s) to check again")
    return 0


def _agreements(unit: UnitOfWork, study: Study) -> list[Row]:
    """What final reports of others say beside each model."""
    found = [(unit.models.get(one.model_id), one) for one in unit.agreements.of_study(study.id)]
    rows: list[Row] = [{**row_of(one), "model": f"{model.name} {model.version}"} for model, one in found]
    return [{name: row[name] for name in AGREEMENT_COLUMNS} for row in rows]


def _tell_privacy(record: PrivacyRecord) -> None:
    """The record in a few lines; then, for each reason, how many objects no model reads."""
    profile = f"{', '.join(record.profiles)} ({', '.join(record.editions)})" if record.profiles else "not recorded"
    tell(f"privacy: profile {profile}, methods {', '.join(code for code, _ in record.methods) or '-'}")
    tell(f"  objects   {_counts(record.clearances)}")
    tell(f"  pixels    {_counts(record.pixels)}")
    tell(f"  elements  {_counts(record.actions)}")
    when = f", last {record.checked_at:%Y-%m-%d %H:%M:%S}" if record.checked_at else ""
    tell(f"  checker   {record.verdict}{when}")
    for each in record.not_cleared:
        tell(f"  {each.count} {each.state}: {each.reason or 'no reason given'}")


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items()) or "-"


def _privacy(record: PrivacyRecord) -> Row:
    methods = [{"code": code, "meaning": meaning} for code, meaning in record.methods]
    return {**row_of(record), "methods": methods, "not_cleared": [row_of(each) for each in record.not_cleared]}


def _tasks(unit: UnitOfWork, study: Study, report: Report | None) -> list[Task]:
    """Of the present revision; of a record that was looked at and had nothing new, those that its report is from."""
    found = unit.tasks.of_study(study.id, study.revision)
    if found or report is None or study.kind == "images":
        return found
    return unit.tasks.of_study(study.id, unit.reports.version(report.id, report.version).revision)


def _report(unit: UnitOfWork, study: Study) -> Report | None:
    try:
        return unit.reports.get(report_id(study.id))
    except Missing:
        return None


def _document(study: Study, tasks: list[Task], report: Report | None, deliveries: list[Delivery]) -> Row:
    """Ids, states and times; the blind indexes stay out."""
    return {
        "study": {name: getattr(study, name) for name in STUDY_COLUMNS},
        "tasks": [{name: getattr(task, name) for name in TASK_COLUMNS} for task in tasks],
        "report": row_of(report) if report else None,
        "deliveries": [{name: getattr(delivery, name) for name in DELIVERY_COLUMNS} for delivery in deliveries],
    }
