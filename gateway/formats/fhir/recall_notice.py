"""Flag and Communication: what goes out with a signed report whose model was recalled (FHIR R4 9.12, 12.1).

The report stays as the physician signed it; the warning tells who reads it, and who received it, that the result it
was based on came from a model that is not to be relied on.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.ids import derive_id
from gateway.domain.recall import Recall
from gateway.domain.review import SIGNED
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.element import Resource, element, instant, meta, reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument


def recall_notices(document: ReportDocument, organization_name: str, base_url: str) -> Iterator[Resource]:
    """A Flag and a Communication for each recalled model of a signed version."""
    if document.version.status not in SIGNED:
        return
    for recall in document.recalls:
        yield _flag(recall, document, organization_name, base_url)
        yield _communication(recall, document, organization_name, base_url)


def recall_words(recall: Recall) -> str:
    return line(
        f"{recall.model_name} {recall.model_version}, which had a part in this report, was recalled: {recall.reason}",
        1024,
    )


def _flag(recall: Recall, document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    own = derive_id("flag", document.version.report_id, recall.model_id)
    is_withdrawn = document.version.status == "entered-in-error"
    return element(
        resourceType="Flag",
        id=own,
        meta=meta(base_url),
        identifier=[{"system": identifier.RECALL, "value": own}],
        status="inactive" if is_withdrawn else "active",
        category=[codes.concept(f"{codes.THO}/flag-category", "safety", "Safety")],
        code={"text": recall_words(recall)},
        subject=reference("Patient", identifier.patient_id(document.study)),
        period={"start": instant(recall.at)},
        author=organization_reference(organization_name),
    )


def _communication(recall: Recall, document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    own = derive_id("communication", document.version.report_id, recall.model_id)
    return element(
        resourceType="Communication",
        id=own,
        meta=meta(base_url),
        identifier=[{"system": identifier.RECALL, "value": own}],
        status="completed",
        category=[codes.concept(f"{codes.THO}/communication-category", "alert", "Alert")],
        priority="urgent",
        subject=reference("Patient", identifier.patient_id(document.study)),
        about=[reference("DiagnosticReport", document.version.report_id)],
        sent=instant(recall.at),
        sender=organization_reference(organization_name),
        payload=[{"contentString": recall_words(recall)}],
    )
