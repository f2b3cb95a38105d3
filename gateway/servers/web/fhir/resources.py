"""Where each resource type comes from: which report version carries it, and how it is made from that.

A report is kept in the domain's words and rendered when it is read (decision 2), so a Patient or an Observation
has no row of its own: it lives in a report, and a model's resources live in the model's row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.errors import Missing
from gateway.domain.finding import Provenance
from gateway.domain.identity import Purpose, StudyIdentity
from gateway.domain.ids import FindingId, ReportId, StudyId
from gateway.domain.model import ServedModel
from gateway.domain.report import Report, ReportVersion, report_id
from gateway.flow.read_reports import OpenedReport
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.model_card import model_card
from gateway.formats.fhir.organization import organization
from gateway.formats.fhir.provenance import provenance
from gateway.formats.fhir.render import render
from gateway.ports import UnitOfWork
from gateway.servers.web.services import WebServices

OF_THE_HOUSE = frozenset({"Device", "DocumentReference", "Organization"})  # made without opening identity
_PROVENANCE_ID = re.compile(r"([0-9a-f]{32})-([0-9]{1,9})")
_NOBODY = StudyIdentity(*[""] * 13)


@dataclass(frozen=True)
class Place:
    """The report version in which a resource is found."""

    report: Report
    version: int


def place_of(unit: UnitOfWork, kind: str, own_id: str) -> Place:
    """Where `kind`/`own_id` lives now; Missing where there is no such resource."""
    match kind:
        case "DiagnosticReport":
            report = unit.reports.get(ReportId(own_id))
        case "ImagingStudy":
            report = unit.reports.get(report_id(StudyId(own_id)))
        case "Observation":
            finding = unit.tasks.finding(FindingId(own_id))
            report = unit.reports.get(report_id(finding.study_id))
            return Place(report, version_with(unit, report, finding.id))
        case "Patient":
            report = newest_of_patient(unit, own_id)
        case "Provenance":
            match = _PROVENANCE_ID.fullmatch(own_id)
            if match is None:
                raise Missing("no such resource")
            return Place(unit.reports.get(ReportId(match[1])), int(match[2]))
        case _:
            raise Missing("no such resource")
    return Place(report, report.version)


def version_with(unit: UnitOfWork, report: Report, finding: FindingId) -> int:
    """The newest version of the report that holds the finding: a later revision may have replaced it."""
    for version in reversed(unit.reports.versions(report.id)):
        if version.content and any(each.id == finding for each in version.content.findings):
            return version.version
    raise Missing("this finding is in no report yet")


def newest_of_patient(unit: UnitOfWork, pseudonym: str) -> Report:
    found = unit.reports.find(studies=unit.studies.ids_by_patient(pseudonym), limit=1)
    if not found:
        raise Missing("no such resource")
    return found[0]


def opened(services: WebServices, unit: UnitOfWork, place: Place, *, purpose: Purpose, actor: str) -> OpenedReport:
    """With identity, audited, and without pictures: those are loaded after the unit has ended."""
    return services.reports.open(
        unit, place.report, purpose=purpose, actor=actor, version=place.version, pictures=False
    )


def rendered(services: WebServices, document: OpenedReport, kind: str) -> list[Resource]:
    """All resources of `kind` that the document carries."""
    everything = render(document, services.fhir_base, services.settings.gateway.organization)
    return everything.of_type(kind)


def provenance_of(services: WebServices, unit: UnitOfWork, report: Report, version: ReportVersion) -> Resource:
    """A Provenance names no patient, so the vault stays closed."""
    document = OpenedReport(
        report=report,
        version=version,
        study=unit.studies.get(report.study_id),
        instances=(),
        identity=_NOBODY,
        models={model.id: model for model in unit.models.all()},
        original_uids={},
    )
    return provenance(document, services.settings.gateway.organization, services.fhir_base)


def of_the_house(services: WebServices, unit: UnitOfWork, kind: str) -> Iterator[Resource]:
    """Every Device, DocumentReference or Organization."""
    name, base = services.settings.gateway.organization, services.fhir_base
    if kind == "Organization":
        yield organization(name, base)
        return
    for model in unit.models.all():
        if kind == "Device":
            yield device(_made_by(model), model, name, base)
        else:
            card = model_card(model, base)
            if card is not None:
                yield card


def models_of_device(unit: UnitOfWork, device_id: str) -> frozenset[str]:
    """The model that stands behind Device/`device_id`, or nothing."""
    return frozenset(model.id for model in unit.models.all() if identifier.device_id(model.id) == device_id)


def _made_by(model: ServedModel) -> Provenance:
    return Provenance(model.id, model.name, model.version, model.sha256, model.provider, "", "", ())
