"""read: GET [base]/[type]/[id] (R4 3.1.0.2)."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.domain.errors import Deleted, Missing
from gateway.domain.resource import StoredVersion
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of, not_modified, version_headers
from gateway.servers.web.fhir.note_interaction import Action, note_interaction, patients_of
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.noted_reading import NotedReading
from gateway.servers.web.services import WebServices


def read(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """Missing (404) where there never was such a resource, Deleted (410) where it is gone."""
    with services.database.read() as unit:
        stored = unit.resources.find(request.kind, request.id)
        if stored is None:
            raise Missing("no such resource")
        return shown(services, client, request, unit, stored)


def shown(
    services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork, stored: StoredVersion
) -> Outcome:
    """One version as it was written, once its opening is in the audit trail; 304 where the client has it already."""
    if stored.is_deleted:
        raise Deleted("this resource is deleted")
    known = not_modified(stored, request)
    if known is not None:
        return known
    noted = NotedReading(unit)
    (body,) = services.record.opened(noted, [stored], "read", actor_of(client))
    action: Action = "vread" if request.interaction == "vread" else "read"
    patients = patients_of(services, [stored])
    note_interaction(noted, client, action, stored.type, stored.id, version=stored.version, patients=patients)
    answer = Answer(200, None, version_headers(stored), body, stored.at)
    return Pending(lambda written: services.write_down(written, noted), lambda spent: unless(spent, answer))


def unless(spent: Exception | None, answer: Answer) -> Answer:
    """The answer, where the quota of openings is not used up."""
    if spent is not None:
        raise spent
    return answer
