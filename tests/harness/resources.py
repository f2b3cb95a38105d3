"""FHIR resources for tests of the store and its search."""

from __future__ import annotations

from typing import Any

from gateway.formats.fhir.element import Resource


def indexed_everywhere() -> tuple[Resource, Resource]:
    """An Observation and a Device that together have a row in every table of the search index."""
    observation: Resource = {
        "resourceType": "Observation",
        "id": "everywhere",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Body weight"},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": "2026-03-01",
        "valueQuantity": {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }
    return observation, {"resourceType": "Device", "id": "d", "deviceName": [{"name": "Scale", "type": "other"}]}


def human(own_id: str, family: str, *given: str, **members: Any) -> Resource:
    """A Patient."""
    name = {"family": family, "given": list(given)}
    return {"resourceType": "Patient", "id": own_id, "name": [name], **members}
