"""delete: DELETE [base]/[type]/[id], or [type]?[search] where one or none matches (R4 3.1.0.6, 3.1.0.7)."""

from __future__ import annotations

from gateway.flow.record.asked import Asked
from gateway.servers.web.fhir.condition import condition_of
from gateway.servers.web.fhir.exchange import FhirRequest, refuse_unknown


def delete(request: FhirRequest) -> Asked:
    """204, also where there is nothing to delete; a read is 410 from then on, and the history stays."""
    if request.id:
        refuse_unknown(request)
    criteria = None if request.id else condition_of(request)
    return Asked("DELETE", request.kind, request.id, criteria=criteria, if_match=request.if_match, place=request.place)
