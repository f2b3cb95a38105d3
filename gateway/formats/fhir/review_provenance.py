"""Provenance of a physician's decision: who, when, why, over which version, and the signature (R4 6.3, IHE IDR).

The Provenance of the AI stays beside it: the signature takes nothing away from who wrote the result.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

from gateway.domain.review import Outcome, Review
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element, instant, meta, reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.practitioner import practitioner_reference, reviews_in_force
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument

_AGENT_TYPES = f"{codes.THO}/provenance-participant-type"
_APPROVAL = codes.coding("http://uri.etsi.org/01903/v1.2.2", "ProofOfApproval", "Proof of approval")
_VERIFICATION = codes.coding("urn:iso-astm:E1762-95:2013", "1.2.840.10065.1.12.1.5", "Verification Signature")
_COMPLETION = f"{codes.THO}/v3-DocumentCompletion"
_OPERATION = f"{codes.THO}/v3-DataOperation"
_ACTIVITIES: dict[Outcome, Resource] = {
    "accept": codes.concept(_COMPLETION, "LA", "legally authenticated"),
    "amend": codes.concept(_OPERATION, "UPDATE", "revise"),
    "correct": codes.concept(_OPERATION, "UPDATE", "revise"),
    "append": codes.concept(_OPERATION, "APPEND", "append"),
    "reject": codes.concept(_OPERATION, "NULLIFY", "nullify"),
    "retract": codes.concept(_OPERATION, "NULLIFY", "nullify"),
}


def review_provenances(document: ReportDocument, organization_name: str, base_url: str) -> Iterator[Resource]:
    """One for each decision that speaks for this version, oldest first."""
    for review in reviews_in_force(document):
        yield _provenance(review, document, organization_name, base_url)


def _provenance(review: Review, document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    own = identifier.provenance_id(review.report_id, review.version)
    findings = document.version.content.findings if document.version.content else ()
    reason = line(review.reason, 1024)
    who = practitioner_reference(review.reviewer)
    return element(
        resourceType="Provenance",
        id=own,
        meta=meta(base_url, updated=review.at, tags=[codes.coding(identifier.PROVENANCE, own)]),
        target=[
            reference("DiagnosticReport", review.report_id),
            *(reference("Observation", finding.id) for finding in findings),
        ],
        occurredDateTime=instant(review.at),
        recorded=instant(review.at),
        reason=[{"text": reason}] if reason else None,
        activity=_ACTIVITIES[review.outcome],
        agent=[
            {
                "type": codes.concept(_AGENT_TYPES, "verifier", "Verifier"),
                "who": who,
                "onBehalfOf": organization_reference(organization_name),
            }
        ],
        entity=[{"role": "revision", "what": _base(review, base_url)}],
        signature=[_signature(review, who)] if review.signature else None,
    )


def _base(review: Review, base_url: str) -> Resource:
    """The version that was read. Absolute: only this server has its history."""
    address = f"{base_url}/DiagnosticReport/{review.report_id}/_history/{review.base_version}"
    return {"reference": address, "type": "DiagnosticReport"}


def _signature(review: Review, who: Resource) -> Resource:
    return {
        "type": [_APPROVAL, _VERIFICATION],
        "when": instant(review.at),
        "who": who,
        "targetFormat": "application/fhir+json",
        "sigFormat": "application/jose",
        "data": b64encode(review.signature.encode("ascii")).decode("ascii"),
    }
