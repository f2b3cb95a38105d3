"""read: GET [base]/[type]/[id] (R4 3.1.0.2)."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.formats.fhir.element import Resource
from gateway.servers.web.fhir import resources
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of, answered
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.pictures import with_pictures
from gateway.servers.web.services import WebServices


def read(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """Missing (404) where there is no such resource."""
    kind = request.served.type
    if kind in resources.OF_THE_HOUSE or kind == "Provenance":
        return answered(_without_identity(services, client, kind, request.id), request)
    with services.reading() as unit:
        place = resources.place_of(unit, kind, request.id)
        document = resources.opened(services, unit, place, purpose="read", actor=actor_of(client))
        note_interaction(
            unit, client, "read", kind, request.id, version=place.version, patients=[document.study.patient]
        )
    if kind == "DiagnosticReport":
        document = with_pictures(services, document)
    return answered(_named(resources.rendered(services, document, kind), request.id), request)


def _without_identity(services: WebServices, client: Client, kind: str, own_id: str) -> Resource:
    with services.reading() as unit:
        if kind == "Provenance":
            place = resources.place_of(unit, kind, own_id)
            version = unit.reports.version(place.report.id, place.version)
            found = resources.provenance_of(services, unit, place.report, version)
        else:
            found = _named(list(resources.of_the_house(services, unit, kind)), own_id)
        note_interaction(unit, client, "read", kind, own_id)
    return found


def _named(found: list[Resource], own_id: str) -> Resource:
    for resource in found:
        if resource["id"] == own_id:
            return resource
    raise Missing("no such resource")
