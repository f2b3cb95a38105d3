"""Device: the model that made a finding, as AI Device of the AI Transparency guide.

`type` is fixed by the profile to one coding without words, so the SNOMED code for software has no place here.
Nothing in it depends on when or where the model ran: a retry must give the same bytes.
"""

from __future__ import annotations

from gateway.domain.finding import Provenance
from gateway.domain.model import ServedModel
from gateway.formats.fhir import identifier
from gateway.formats.fhir.coding import AI_DEVICE_TYPES, concept, profile
from gateway.formats.fhir.element import Resource, element, meta, reference
from gateway.formats.fhir.text import line, paragraphs


def device(made_by: Provenance, model: ServedModel | None, organization_name: str, base_url: str) -> Resource:
    """`model` is the announced package: title, intended use and card; without it the finding's own words stand."""
    kind = concept(AI_DEVICE_TYPES, "Medical-Image-Analysis", "Medical Image Analysis")
    sees_images = model is None or model.needs is None
    extensions = [{"url": profile("aitransparency.AIKind"), "valueCodeableConcept": kind}] if sees_images else []
    if model is not None and model.card:
        card = reference("DocumentReference", identifier.card_id(made_by.model_id))
        extensions.append({"url": profile("aitransparency.modelCardDescription"), "valueReference": card})
    title = line(model.title if model is not None else made_by.model_name)
    use = paragraphs(model.intended_use, 4096) if model is not None else ""
    return element(
        resourceType="Device",
        id=identifier.device_id(made_by.model_id),
        meta=meta(base_url, profiles=[profile("AI-Device")]),
        extension=extensions,
        identifier=[
            {"system": identifier.MODEL, "value": line(made_by.model_id)},
            {"system": identifier.MODEL_DIGEST, "value": line(made_by.model_sha256)},
        ],
        status="active",
        deviceName=[
            {"name": title, "type": "user-friendly-name"},
            {"name": line(made_by.model_name), "type": "model-name"},
        ],
        modelNumber=line(f"{made_by.model_name} {made_by.model_version}"),
        type=concept(AI_DEVICE_TYPES, "Artificial-Intelligence"),
        version=[{"value": line(made_by.model_version)}],
        owner=reference("Organization", identifier.organization_id(organization_name)),
        note=[{"text": use}] if use else None,
    )


def device_reference(made_by: Provenance) -> Resource:
    words = line(f"{made_by.model_name} {made_by.model_version}")
    return reference("Device", identifier.device_id(made_by.model_id), display=words)
