"""DocumentReference: the model card, markdown or CHAI XML, as AI Model-Card of the AI Transparency guide."""

from __future__ import annotations

from gateway.domain.model import ServedModel
from gateway.formats.fhir import identifier
from gateway.formats.fhir.coding import AI_INPUTS, concept, profile
from gateway.formats.fhir.element import Resource, attachment, element, meta
from gateway.formats.fhir.text import line


def model_card(model: ServedModel, base_url: str) -> Resource | None:
    """None for a model that was announced without a card."""
    if not model.card:
        return None
    chai = model.card.lstrip("\ufeff \r\n\t").startswith("<")
    kind = ("AImodelCardCHAIformat", "CHAI Format") if chai else ("AIModelCardMarkdownFormat", "Markdown Format")
    content_type = "application/xml" if chai else "text/markdown"
    title = line(f"Model card of {model.title} {model.version}")
    return element(
        resourceType="DocumentReference",
        id=identifier.card_id(model.id),
        meta=meta(base_url, profiles=[profile("AI-ModelCard")]),
        identifier=[{"system": identifier.CARD_DIGEST, "value": line(model.card_sha256)}],
        status="current",
        type=concept(AI_INPUTS, "AIModelCard"),
        category=[concept(AI_INPUTS, *kind)],
        description=title,
        content=[{"attachment": attachment(model.card.encode("utf-8"), content_type, title=title)}],
    )
