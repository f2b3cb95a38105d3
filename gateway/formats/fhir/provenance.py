"""Provenance: exactly what made a report version: models, their cards, the study and the digest of every input.

AI Provenance of the AI Transparency guide. `Provenance?agent=Device/...` then finds every report that a recalled
model had a part in, and the SHA-256 identifiers find every report that a flawed input went into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gateway.domain.finding import Finding
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.element import Resource, element, instant, meta, reference
from gateway.formats.fhir.imaging_study import study_reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.practitioner import reviews_in_force
from gateway.ports import ReportDocument

LISTED_INPUTS = 4096  # the most instances that one run of a model takes
_AGENT_TYPES = f"{codes.THO}/provenance-participant-type"


def provenance(document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    """One for each version that the machine made; a version that a person made of it keeps that one.

    It claims the AI profile only where a model gave an answer.
    """
    version = document.version
    findings = version.content.findings if version.content else ()
    number, made_at = _made_by_machine(document)
    own = identifier.provenance_id(version.report_id, number)
    return element(
        resourceType="Provenance",
        id=own,
        meta=meta(
            base_url,
            updated=made_at,
            profiles=[codes.profile("AI-Provenance")] if findings else None,
            tags=[codes.coding(identifier.PROVENANCE, own)],
        ),
        target=[
            reference("DiagnosticReport", version.report_id),
            *(reference("Observation", finding.id) for finding in findings),
        ],
        occurredDateTime=instant(made_at),
        recorded=instant(made_at),
        reason=[{"coding": [codes.AI_ASSERTED]}] if findings else None,
        agent=[*_authors(findings), _assembler(organization_name)],
        entity=list(_entities(document, findings)),
    )


def _made_by_machine(document: ReportDocument) -> tuple[int, datetime]:
    """Number and time of the version that the first decision in force was about; this one where there is none."""
    decided = reviews_in_force(document)
    if decided:
        return decided[0].base_version, decided[0].base_at
    return document.version.version, document.version.created_at


def _authors(findings: Sequence[Finding]) -> Iterator[Resource]:
    for finding in _one_for_each_model(findings):
        yield {
            "type": codes.concept(_AGENT_TYPES, "author", "Author"),
            "role": [codes.concept(codes.AI_DEVICE_TYPES, "Artificial-Intelligence")],
            "who": device_reference(finding.made_by),
        }


def _assembler(organization_name: str) -> Resource:
    kind = codes.concept(_AGENT_TYPES, "assembler", "Assembler")
    return {"type": kind, "who": organization_reference(organization_name)}


def _entities(document: ReportDocument, findings: Sequence[Finding]) -> Iterator[Resource]:
    for finding in _one_for_each_model(findings):
        model = document.models.get(finding.made_by.model_id)
        if model is not None and model.card:
            card = reference("DocumentReference", identifier.card_id(model.id))
            yield {"role": "derivation", "what": card}
    yield {"role": "source", "what": study_reference(document)}
    digests = dict.fromkeys(digest for finding in findings for digest in finding.made_by.input_digests)
    for digest in list(digests)[:LISTED_INPUTS]:
        yield {"role": "source", "what": {"identifier": {"system": identifier.INPUT_DIGEST, "value": digest}}}


def _one_for_each_model(findings: Sequence[Finding]) -> list[Finding]:
    return list({finding.made_by.model_id: finding for finding in findings}.values())
