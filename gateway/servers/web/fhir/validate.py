"""$validate: what would be found wrong with a resource, without storing it (R4 Resource-operation-validate)."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.formats.fhir.outcome import outcome
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import refused
from gateway.servers.web.fhir.exchange import Answer, FhirRequest
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.services import WebServices


def validate(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """200 with an OperationOutcome, whatever was found; the resource may come in a Parameters resource."""
    sent = parsed(request)
    if sent.get("resourceType") == "Parameters" and request.kind != "Parameters":
        told = [one for one in sent.get("parameter", []) if isinstance(one, dict) and one.get("name") == "resource"]
        if len(told) != 1 or not isinstance(told[0].get("resource"), dict):
            raise refused("required", "the Parameters must hold one resource", "Parameters.parameter")
        sent = told[0]["resource"]
    return Answer(200, outcome(check(sent, kind=request.kind)))
