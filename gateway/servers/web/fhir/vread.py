"""vread: GET [base]/DiagnosticReport/[id]/_history/[vid] (R4 3.1.0.3). Only a report has versions."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.domain.ids import ReportId
from gateway.servers.web.fhir import resources
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of, answered
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.pictures import with_pictures
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

VERSIONED = "DiagnosticReport"


def vread(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """The report as it stood at that version, with identity as it is known now."""
    if request.served.type != VERSIONED:
        raise Refusal(501, "not-supported", f"versions are kept of {VERSIONED} only")
    if not request.version.isascii() or not request.version.isdigit() or len(request.version) > 9:
        raise Missing("no such version")
    with services.reading() as unit:
        place = resources.Place(unit.reports.get(ReportId(request.id)), int(request.version))
        unit.reports.version(place.report.id, place.version)  # Missing before identity is opened
        document = resources.opened(services, unit, place, purpose="read", actor=actor_of(client))
        patients = [document.study.patient]
        note_interaction(unit, client, "vread", VERSIONED, request.id, version=place.version, patients=patients)
    document = with_pictures(services, document)
    return answered(resources.rendered(services, document, VERSIONED)[0], request)
