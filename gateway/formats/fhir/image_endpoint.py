"""Endpoint: where an EHR's viewer gets the study's images by DICOMweb (FHIR R4 8.6, PS3.18 10.4)."""

from __future__ import annotations

from gateway.domain.ids import derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element, meta, reference
from gateway.formats.fhir.organization import organization_reference

_CONNECTION_TYPES = f"{codes.THO}/endpoint-connection-type"


def image_endpoint(url: str, organization_name: str, base_url: str) -> Resource:
    """One for the whole server: WADO-RS adds /studies/{uid} itself."""
    own = _id(url)
    return element(
        resourceType="Endpoint",
        id=own,
        meta=meta(base_url),
        identifier=[{"system": identifier.ENDPOINT, "value": own}],
        status="active",
        connectionType=codes.coding(_CONNECTION_TYPES, "dicom-wado-rs", "DICOM WADO-RS"),
        name="DICOMweb",
        managingOrganization=organization_reference(organization_name),
        payloadType=[{"text": "DICOM"}],
        payloadMimeType=["application/dicom"],
        address=url.rstrip("/"),
    )


def image_endpoint_reference(url: str) -> Resource:
    return reference("Endpoint", _id(url))


def _id(url: str) -> str:
    return derive_id("endpoint", url.rstrip("/"))
