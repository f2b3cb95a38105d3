"""CarePlan: proposals that published rules make of findings and record, for a physician to accept one by one (R4 9.5).

`draft` and `proposal`: nothing is ordered. Each activity names its rule and guideline, and what in the record made the
rule speak, so that every line can be traced and refused.
"""

from __future__ import annotations

from gateway.domain.finding import Finding, Proposal, RecordAnswer
from gateway.domain.ids import derive_id
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.element import Resource, element, instant, reference
from gateway.formats.fhir.record_observation import basis, labelled
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

TITLE = "Research: proposal by unreviewed rules; a physician decides each item"
UNREVIEWED = (
    "Research use only. No medical review of these rules is known to the gateway: their thresholds may not be those of "
    "the guideline that they name. Nothing is ordered; read the guideline itself before anything follows from this."
)
RULE = "urn:dxgate:plan-rule"


def care_plan(finding: Finding, document: ReportDocument, base_url: str) -> Resource:
    answer = finding.answer or RecordAnswer("plan")
    own = derive_id("care-plan", finding.id)
    return element(
        resourceType="CarePlan",
        id=own,
        meta=labelled(document, base_url),
        identifier=[{"system": identifier.FINDING, "value": own}],
        status="draft",
        intent="proposal",
        title=TITLE,
        description=paragraphs(finding.conclusion, 4096),
        subject=reference("Patient", identifier.patient_id(document.study)),
        created=instant(finding.created_at),
        author=device_reference(finding.made_by),
        supportingInfo=[*basis(finding, document), reference("Observation", finding.id)],
        activity=[{"detail": _detail(one)} for one in answer.proposals],
        note=[{"text": UNREVIEWED}],
    )


def _detail(one: Proposal) -> Resource:
    because = "; ".join(one.because)
    said = f"{one.text}\nBecause: {because}.\nGuideline: {one.guideline}.\nCaution: {one.caution}"
    return element(
        code={"coding": [{"system": RULE, "code": one.rule}], "text": line(one.text)},
        reasonCode=[{"text": line(reason)} for reason in one.because],
        status="not-started",
        doNotPerform=False,
        description=paragraphs(said, 4096),
    )
