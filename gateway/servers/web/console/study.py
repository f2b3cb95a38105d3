"""A study's page: state, findings, privacy, report, deliveries, timeline; identity for those who may see it."""

from __future__ import annotations

from gateway.domain.audit import AuditRow
from gateway.domain.errors import Missing
from gateway.domain.ids import BlobKey, FindingId, StudyId
from gateway.domain.report import ReportVersion
from gateway.flow.privacy_record import privacy_record
from gateway.ports import UnitOfWork
from gateway.servers.web.console.page import Picture, View, Visit
from gateway.servers.web.console.shown_identity import shown_identity
from gateway.servers.web.console.studies import StudyRow, study_row

TIMELINE = 60  # rows for each subject, newest
SHOWN_IMAGES = 24


def study(visit: Visit) -> View:
    """Opening identity is audited by the vault with purpose `console`."""
    found = visit.unit.studies.get(StudyId(visit.path["study"]))
    models = {model.id: model for model in visit.unit.models.all()}
    row = study_row(visit.unit, found, models)
    version = _version(visit.unit, row)
    data = {
        "row": row,
        "study": found,
        "identity": shown_identity(visit, found),
        "version": version,
        "findings": version.content.findings if version and version.content else (),
        "not_analysed": version.content.not_analysed if version and version.content else (),
        "models": models,
        "agreements": visit.unit.agreements.of_study(found.id),
        "privacy": privacy_record(visit.unit, found.id),
        "timeline": _timeline(visit.unit, row),
        "shown_images": SHOWN_IMAGES,
    }
    return View("study.html", found.id, data)


def picture(visit: Visit) -> Picture:
    """The heat map of one image of one finding; Missing where there is none."""
    finding = visit.unit.tasks.finding(FindingId(visit.path["finding"]))
    number = visit.path["number"]
    images = finding.images
    place = int(number) if number.isascii() and number.isdigit() and len(number) <= 6 else len(images)
    if finding.study_id != visit.path["study"] or place >= len(images) or images[place].heat_map is None:
        raise Missing("there is no such picture")
    visit.unit.audit.record("console:view", finding.id, visit.actor, page="picture", number=place)
    return Picture(visit.unit.studies.get(finding.study_id).patient, BlobKey(str(images[place].heat_map)))


def _version(unit: UnitOfWork, row: StudyRow) -> ReportVersion | None:
    return unit.reports.version(row.report.id, row.report.version) if row.report else None


def _timeline(unit: UnitOfWork, row: StudyRow) -> list[AuditRow]:
    """What the trail says of the study and of what was made from it, newest first."""
    subjects = [row.study.id, *(task.id for task, _ in row.tasks), *(each.id for each in row.deliveries)]
    if row.report:
        subjects.append(row.report.id)
    rows = {each.seq: each for name in subjects for each in unit.audit.newest(limit=TIMELINE, subject_id=name)}
    return [rows[seq] for seq in sorted(rows, reverse=True)][:TIMELINE]
