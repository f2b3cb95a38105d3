"""Observation: one model's answer to its question, with the probability of each label (FHIR R4 10.1).

The model stands in `device`, never in `performer`, which R4 keeps for people and organisations. An inconclusive
answer has no value: it says so in dataAbsentReason and interpretation, and keeps its probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.finding import Finding, ImageFinding, Label
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import Resource, decimal, element, instant, meta, reference
from gateway.formats.fhir.imaging_study import study_reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.patient import fits_us_core
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

LISTED_IMAGES = 200  # images whose answers are listed, in the order in which the model saw them
INCONCLUSIVE = "Inconclusive: the model gives no answer, a physician decides"
_STATUSES = {"appended": "final"}  # an appendix leaves the earlier findings as they were
_PROFILE = f"{codes.US_CORE}/us-core-observation-clinical-result"


def observation(finding: Finding, document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    identity, version = document.identity, document.version
    decided = finding.decided
    return element(
        resourceType="Observation",
        id=str(finding.id),
        meta=meta(
            base_url,
            version=version.version,
            updated=version.created_at,
            profiles=[_PROFILE] if fits_us_core(document) else None,
            security=[codes.AI_ASSERTED],
        ),
        extension=[{"url": codes.AI_CONFIDENCE, "valueDecimal": decimal(decided.probability)}] if decided else None,
        identifier=[{"system": identifier.FINDING, "value": str(finding.id)}],
        status=_STATUSES.get(version.status, version.status),
        category=[codes.concept(f"{codes.THO}/observation-category", "imaging", "Imaging")],
        code=codes.coded(finding.question),
        subject=reference("Patient", identifier.patient_id(document.study)),
        effectiveDateTime=fhir_date(identity.study_date),
        issued=instant(finding.created_at),
        performer=[organization_reference(organization_name)],
        valueCodeableConcept=codes.answered(finding),
        dataAbsentReason=None if decided else _absent(),
        interpretation=None if decided else [_indeterminate()],
        note=[{"text": text} for text in _notes(finding, document)],
        method={"text": _method(finding)},
        device=device_reference(finding.made_by),
        derivedFrom=[study_reference(document)],
        component=list(_components(finding, document)),
    )


def image_name(sop_instance_uid: str, document: ReportDocument) -> str:
    """How an image is called in words: by its original UID where that is known."""
    uid = identifier.dicom_uid(document.original_uids.get(sop_instance_uid, ""))
    return f"image {uid}" if uid else "an image"


def _absent() -> Resource:
    return codes.concept(f"{codes.THO}/data-absent-reason", "unknown", "Unknown", text=INCONCLUSIVE)


def _indeterminate() -> Resource:
    return codes.concept(f"{codes.THO}/v3-ObservationInterpretation", "IND", "Indeterminate")


def _method(finding: Finding) -> str:
    made_by = finding.made_by
    return line(f"{made_by.model_name} {made_by.model_version} on {made_by.provider}, {made_by.runtime}")


def _notes(finding: Finding, document: ReportDocument) -> Iterator[str]:
    yield paragraphs(finding.conclusion) or "No conclusion."
    for image in finding.images[:LISTED_IMAGES]:
        said = paragraphs(image.refusal or image.explanation, 4096)
        if said:
            name = image_name(image.sop_instance_uid, document)
            yield f"{name[0].upper()}{name[1:]}: {said}"
    if len(finding.images) > LISTED_IMAGES:
        yield f"{len(finding.images) - LISTED_IMAGES} more images are not listed here."


def _components(finding: Finding, document: ReportDocument) -> Iterator[Resource]:
    for image in finding.images[:LISTED_IMAGES]:
        for label in image.labels:
            yield _component(label, image, document)
    if finding.threshold is not None:
        yield {"code": {"text": "Decision threshold"}, "valueQuantity": _probability(finding.threshold)}


def _component(label: Label, image: ImageFinding, document: ReportDocument) -> Resource:
    words = line(f"{label.probability_of}, {image_name(image.sop_instance_uid, document)}")
    return {"code": codes.coded(label.code, words), "valueQuantity": _probability(label.probability)}


def _probability(value: float) -> Resource:
    return {"value": decimal(value), "unit": "1", "system": codes.UCUM, "code": "1"}
