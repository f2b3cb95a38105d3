"""Observation: what a model said about a patient's record, with every probability and what it was derived from.

The counterpart of `observation.py` for values instead of images; `derivedFrom` names the results of the record that
the model was given (R4 10.1).
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.finding import Finding, RecordAnswer
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.element import Resource, decimal, element, instant, meta, reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

LISTED_SOURCES = 500
_STATUSES = {"appended": "final"}  # an appendix leaves the earlier findings as they were
DERIVABLE = ("Observation/", "QuestionnaireResponse/", "DocumentReference/", "Media/", "MolecularSequence/")


def record_observation(finding: Finding, document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    decided = finding.decided
    answer = finding.answer or RecordAnswer("record")
    return element(
        resourceType="Observation",
        **of_record(str(finding.id), finding, document, organization_name),
        meta=labelled(document, base_url),
        extension=[{"url": codes.AI_CONFIDENCE, "valueDecimal": decimal(decided.probability)}] if decided else None,
        category=[codes.concept(f"{codes.THO}/observation-category", "survey", "Survey")],
        code=codes.coded(finding.question),
        valueCodeableConcept=codes.answered(finding),
        valueString=None if decided or answer.labels else line(finding.conclusion, 1024),
        dataAbsentReason=_absent() if answer.labels and not decided else None,
        interpretation=[_indeterminate()] if answer.labels and not decided else None,
        note=[{"text": text} for text in _notes(finding, answer)],
        derivedFrom=derived_from(finding, document),
        component=list(_components(finding, answer)),
    )


def of_record(own_id: str, finding: Finding, document: ReportDocument, organization_name: str) -> Resource:
    """What every Observation on a record says alike: its id, of whom it is, when and by what it was made."""
    return {
        "id": own_id,
        "identifier": [{"system": identifier.FINDING, "value": own_id}],
        "status": status(document),
        "subject": reference("Patient", identifier.patient_id(document.study)),
        "effectiveDateTime": instant(finding.created_at),
        "issued": instant(finding.created_at),
        "performer": [organization_reference(organization_name)],
        "method": {"text": method(finding)},
        "device": device_reference(finding.made_by),
    }


def labelled(document: ReportDocument, base_url: str, *profiles: str) -> Resource:
    """The meta of everything that a model has made of a record."""
    version = document.version
    return meta(
        base_url,
        version=version.version,
        updated=version.created_at,
        profiles=list(profiles),
        security=[codes.AI_ASSERTED],
    )


def status(document: ReportDocument) -> str:
    return _STATUSES.get(document.version.status, document.version.status)


def basis(finding: Finding, document: ReportDocument) -> list[Resource]:
    """References to what the model was given, as many as are listed."""
    names = document.basis.get(finding.made_by.model_id, ())
    return [{"reference": name} for name in names[:LISTED_SOURCES]]


def derived_from(finding: Finding, document: ReportDocument) -> list[Resource]:
    """Of what the model was given, what an Observation may be derived from."""
    return [each for each in basis(finding, document) if each["reference"].startswith(DERIVABLE)]


def method(finding: Finding) -> str:
    made_by = finding.made_by
    return line(f"{made_by.model_name} {made_by.model_version} on {made_by.provider}, {made_by.runtime}")


def _notes(finding: Finding, answer: RecordAnswer) -> Iterator[str]:
    yield paragraphs(finding.conclusion) or "No conclusion."
    if answer.explanation:
        yield paragraphs(answer.explanation, 4096)
    if answer.set_aside:
        yield paragraphs("Set aside: " + "; ".join(answer.set_aside), 4096)


def _components(finding: Finding, answer: RecordAnswer) -> Iterator[Resource]:
    for label in answer.labels:
        words = line(label.probability_of)
        yield {"code": codes.coded(label.code, words), "valueQuantity": _probability(label.probability)}
    if finding.threshold is not None and answer.labels:
        yield {"code": {"text": "Decision threshold"}, "valueQuantity": _probability(finding.threshold)}


def _probability(value: float) -> Resource:
    return {"value": decimal(value), "unit": "1", "system": codes.UCUM, "code": "1"}


def _absent() -> Resource:
    text = "Inconclusive: the model gives no answer, a physician decides"
    return codes.concept(f"{codes.THO}/data-absent-reason", "unknown", "Unknown", text=text)


def _indeterminate() -> Resource:
    return codes.concept(f"{codes.THO}/v3-ObservationInterpretation", "IND", "Indeterminate")
