"""The criteria of a conditional write: what the address asks, without what shapes the answer (R4 3.1.0.4.3)."""

from __future__ import annotations

from gateway.domain.errors import Invalid
from gateway.flow.record.asked import Criteria
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, FhirRequest


def condition_of(request: FhirRequest) -> Criteria:
    """Invalid where there is none: everything would match."""
    criteria = tuple((name, value) for name, value in request.fields if name not in OF_THE_ANSWER)
    if not criteria or not all(value for _, value in criteria):
        raise Invalid("a write to a type needs criteria, and each of them a value")
    return criteria
