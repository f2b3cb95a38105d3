"""RiskAssessment: a model's probability about a patient, with its basis and method (R4 10.5).

One prediction for each label. It stays preliminary until a physician signs the report; the performer is the model's
Device, which R4 allows here.
"""

from __future__ import annotations

from gateway.domain.finding import Finding, Label, RecordAnswer
from gateway.domain.ids import derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.element import Resource, decimal, element, instant, reference
from gateway.formats.fhir.record_observation import basis, labelled, method, status
from gateway.formats.fhir.text import paragraphs
from gateway.ports import ReportDocument


def risk_assessment(finding: Finding, document: ReportDocument, base_url: str) -> Resource:
    answer = finding.answer or RecordAnswer("record")
    own = derive_id("risk-assessment", finding.id)
    return element(
        resourceType="RiskAssessment",
        id=own,
        meta=labelled(document, base_url),
        identifier=[{"system": identifier.FINDING, "value": own}],
        status=status(document),
        method={"text": method(finding)},
        code=codes.coded(finding.question),
        subject=reference("Patient", identifier.patient_id(document.study)),
        occurrenceDateTime=instant(finding.created_at),
        performer=device_reference(finding.made_by),
        basis=[*basis(finding, document), reference("Observation", finding.id)],
        prediction=[_prediction(label, finding) for label in answer.labels],
        mitigation=None,
        note=[
            {"text": text} for text in (paragraphs(finding.conclusion), paragraphs(answer.explanation, 4096)) if text
        ],
    )


def _prediction(label: Label, finding: Finding) -> Resource:
    """The rationale says on which side of the threshold the probability lies, or that nothing was decided."""
    decided = finding.decided
    told = "Decided" if decided is not None and decided.name == label.name else "Not decided"
    threshold = f"; decision threshold {finding.threshold:.4f}" if finding.threshold is not None else ""
    return element(
        outcome=codes.coded(label.code),
        probabilityDecimal=decimal(label.probability),
        rationale=f"{told}{threshold}.",
    )
