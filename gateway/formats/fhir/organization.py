"""Organization: who runs the gateway and performs the analysis.

R4 lets no Device be DiagnosticReport.performer, so the organisation is named there and the model in
Observation.device and in the Provenance.
"""

from __future__ import annotations

from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element, meta, reference
from gateway.formats.fhir.text import line


def organization(name: str, base_url: str) -> Resource:
    own = identifier.organization_id(name)
    return element(
        resourceType="Organization",
        id=own,
        meta=meta(base_url),
        identifier=[{"system": identifier.ORGANIZATION, "value": own}],
        active=True,
        name=line(name) or "dxgate",
    )


def organization_reference(name: str) -> Resource:
    return reference("Organization", identifier.organization_id(name), display=line(name))
