"""update: PUT [base]/[type]/[id], also as a create, and PUT [base]/[type]?[search] (R4 3.1.0.4, 3.1.0.4.3)."""

from __future__ import annotations

from gateway.flow.record.asked import Asked
from gateway.formats.fhir.wire.issue import refused
from gateway.servers.web.fhir.condition import condition_of
from gateway.servers.web.fhir.exchange import FhirRequest, refuse_unknown
from gateway.servers.web.fhir.resource_body import resource_of


def update(request: FhirRequest) -> Asked:
    """200 for a new version, 201 for a new resource; Unmet (412) where If-Match or the condition does not hold."""
    if request.id:
        refuse_unknown(request)
    resource = resource_of(request, request.kind)
    if request.id and resource.get("id") != request.id:
        place = f"{request.place}.resource.id" if request.place else f"{request.kind}.id"
        raise refused("invalid", "the resource must have the id of the address", place)
    return Asked(
        "PUT",
        request.kind,
        request.id,
        criteria=None if request.id else condition_of(request),
        resource=resource,
        if_match=request.if_match,
        if_none_match=request.headers.get("if-none-match", "").strip() == "*",
        full_url=request.full_url,
        place=request.place,
    )
