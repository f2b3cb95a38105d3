"""create: POST [base]/[type], with If-None-Exist only where there is none that matches (R4 3.1.0.8)."""

from __future__ import annotations

from gateway.flow.record.asked import Asked, criteria_of
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, FhirRequest
from gateway.servers.web.fhir.resource_body import resource_of
from gateway.servers.web.refusal import Refusal


def create(request: FhirRequest) -> Asked:
    """201; 200 with the one that matches; Unmet (412) where several do.

    Refusal (400) for criteria in the address: to ignore them would make a second resource.
    """
    if any(name not in OF_THE_ANSWER for name, _ in request.fields):
        raise Refusal(400, "not-supported", "a create takes its condition from the header If-None-Exist")
    condition = request.headers.get("if-none-exist", "").strip()
    if "if-none-exist" in request.headers and not condition:
        raise Refusal(400, "required", "If-None-Exist is empty: a condition that says nothing would be ignored")
    return Asked(
        "POST",
        request.kind,
        criteria=criteria_of(condition.rpartition("?")[2]) if condition else None,
        resource=resource_of(request, request.kind),
        full_url=request.full_url,
        place=request.place,
    )
