"""What a client hears of a write: status, Location, ETag, and a body as it prefers (R4 3.1.0.1.10, 3.1.0.7)."""

from __future__ import annotations

from gateway.domain.resource import StoredVersion
from gateway.flow.record.asked import Written
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.outcome import issue
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, Returns, version_headers
from gateway.servers.web.services import WebServices


def told(services: WebServices, request: FhirRequest, written: Written) -> Answer:
    """201, 200 or 204."""
    if written.stored is None or written.did == "deleted" or (written.did == "nothing" and not written.body):
        return _deleted(written.stored, request.returns)
    status = 201 if written.did == "created" else 200
    headers = version_headers(written.stored) | {"Location": location(services, written.stored)}
    match request.returns:
        case "minimal":
            return Answer(status, None, headers, modified=written.stored.at)
        case "OperationOutcome":
            return Answer(status, outcome(written), headers, modified=written.stored.at)
    return Answer(status, None, headers, written.body, written.stored.at)


def location(services: WebServices, stored: StoredVersion) -> str:
    """The address of a version."""
    return f"{services.fhir_base}/{stored.type}/{stored.id}/_history/{stored.version}"


def outcome(written: Written) -> Resource:
    """What was done, for a client that prefers to be told so."""
    said = {"created": "created", "updated": "updated", "deleted": "deleted", "nothing": "there already"}[written.did]
    return issue("informational", said, severity="information")


def _deleted(stored: StoredVersion | None, returns: Returns) -> Answer:
    headers = {"ETag": f'W/"{stored.version}"'} if stored is not None else {}
    if returns == "OperationOutcome":
        return Answer(200, issue("informational", "deleted", severity="information"), headers)
    return Answer(204, None, headers)
