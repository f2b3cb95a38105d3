"""The code systems, profiles and extensions that our resources name, each once.

Sources: HL7 Terminology, LOINC, US Core 6, DS4P inline security labels, AI Transparency on FHIR 1.0.0-ballot.
"""

from __future__ import annotations

from typing import Any

from gateway.domain.finding import Code, Finding
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.text import line

THO = "http://terminology.hl7.org/CodeSystem"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
AI_GUIDE = "http://hl7.org/fhir/uv/aitransparency"
FINDING = "urn:dxgate:finding"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"

AI_DEVICE_TYPES = f"{AI_GUIDE}/CodeSystem/AIdeviceTypeCS"
AI_INPUTS = f"{AI_GUIDE}/CodeSystem/AIinputsCS"
AI_CONFIDENCE = f"{AI_GUIDE}/StructureDefinition/AIconfidence"
INLINE_LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"

# Labels are matched as exact tokens by the guide's queries, so they carry no display of our own.
AI_ASSERTED: Resource = {"system": f"{THO}/v3-ObservationValue", "code": "AIAST"}
INLINE_LABELLED: Resource = {"system": f"{THO}/v3-ActCode", "code": "PROCESSINLINELABEL"}
SUBSETTED: Resource = {"system": f"{THO}/v3-ObservationValue", "code": "SUBSETTED"}


def profile(name: str) -> str:
    """Canonical URL of a profile of the AI Transparency guide."""
    return f"{AI_GUIDE}/StructureDefinition/{name}"


def coding(system: str, code: str, display: str | None = None) -> Resource:
    return element(system=system, code=code, display=display)


def concept(system: str, code: str, display: str | None = None, **members: Any) -> Resource:
    """A CodeableConcept with one coding."""
    return element(coding=[coding(system, code, display)], **members)


def coded(code: Code, text: str | None = None, **members: Any) -> Resource:
    """A CodeableConcept of the domain's code, with `text` or the code's display as its words."""
    display = line(code.display)
    return element(
        coding=[coding(line(code.system), line(code.value), display)],
        text=text or display,
        **members,
    )


def answered(finding: Finding, **members: Any) -> Resource | None:
    """What a finding has decided, as a CodeableConcept whose text is the answer in words.

    Of a record the code is our own: the code of what is foretold ("Dead", "Diabetes mellitus") would state it of the
    patient, to whoever reads codes alone. It stands where R4 has a place for it, in RiskAssessment.prediction.outcome.
    """
    label = finding.decided
    if label is None:
        return None
    if finding.answer is None or not label.title:
        return coded(label.code, line(label.answer), **members)
    own = label.code.system == FINDING
    said = label.code if own else Code(FINDING, "99DXGATE", f"{finding.question.value}.{label.name}", label.answer)
    return coded(said, line(label.answer), **members)


def inline_label() -> Resource:
    """The extension that marks one element as asserted by an AI."""
    return {"url": INLINE_LABEL, "valueCoding": AI_ASSERTED}
