"""DiagnosticReport: what the study's analysis says, preliminary until a physician signs (R4 10.3, US Core report note).

`resultsInterpreter` stays empty until somebody has signed, and `performer` names the organisation: R4 allows no
device there. AI content carries the labels of the AI Transparency guide on the resource and on each element.
"""

from __future__ import annotations

from gateway.domain.report import ReportVersion
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import Resource, attachment, element, instant, meta, reference
from gateway.formats.fhir.imaging_study import study_reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.patient import fits_us_core
from gateway.formats.fhir.printed_report import PRINTED_IMAGES, printed_report
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

PROFILE = f"{codes.US_CORE}/us-core-diagnosticreport-note"
UNSIGNED = "AI result, not for diagnosis until confirmed by a physician."
CODE = codes.concept(codes.LOINC, "18748-4", "Diagnostic imaging study", text="AI analysis of an imaging study")
CATEGORIES = [
    codes.concept(codes.LOINC, "LP29684-5", "Radiology"),
    codes.concept(f"{codes.THO}/v2-0074", "RAD", "Radiology"),
]


def diagnostic_report(document: ReportDocument, organization_name: str, base_url: str) -> Resource:
    """The report without its printed form where heat maps were not loaded; it is tagged SUBSETTED then."""
    version, identity = document.version, document.identity
    findings = version.content.findings if version.content else ()
    conclusion = _conclusion(version)
    order = identifier.accession(identity.accession_number)
    whole = has_all_pictures(document)
    effective = fhir_date(identity.study_date)
    return element(
        resourceType="DiagnosticReport",
        id=str(version.report_id),
        meta=meta(
            base_url,
            version=version.version,
            updated=version.created_at,
            profiles=[PROFILE] if _is_note(document, effective) else None,
            security=[codes.AI_ASSERTED, codes.INLINE_LABELLED] if findings else None,
            tags=None if whole else [codes.SUBSETTED],
        ),
        identifier=[each for each in ({"system": identifier.REPORT, "value": str(version.report_id)}, order) if each],
        basedOn=[{"type": "ServiceRequest", "identifier": order}] if order else None,
        status=version.status,
        category=CATEGORIES,
        code=CODE,
        subject=reference("Patient", identifier.patient_id(document.study)),
        effectiveDateTime=effective,
        issued=instant(version.created_at),
        performer=[organization_reference(organization_name)],
        result=[reference("Observation", finding.id) for finding in findings],
        imagingStudy=[study_reference(document)],
        conclusion=conclusion,
        _conclusion={"extension": [codes.inline_label()]} if findings and conclusion else None,
        conclusionCode=[
            codes.coded(finding.decided.code, extension=[codes.inline_label()])
            for finding in findings
            if finding.decided
        ],
        presentedForm=[_printed(document, organization_name)] if whole and conclusion else None,
    )


def has_all_pictures(document: ReportDocument) -> bool:
    """Whether every heat map that the printed form shows is at hand."""
    findings = document.version.content.findings if document.version.content else ()
    named = {image.heat_map for finding in findings for image in finding.images[:PRINTED_IMAGES] if image.heat_map}
    return named <= document.pictures.keys()


def _conclusion(version: ReportVersion) -> str | None:
    if version.content is None:
        return None
    said = paragraphs(version.content.conclusion)
    return f"{UNSIGNED}\n{said}" if version.status == "preliminary" and version.content.findings else said


def _printed(document: ReportDocument, organization_name: str) -> Resource:
    page = printed_report(document, organization_name, UNSIGNED).encode("utf-8")
    title = line(f"AI analysis, version {document.version.version}, {document.version.status}")
    created = instant(document.version.created_at)
    return attachment(page, "text/html", language="en", title=title, creation=created)


def _is_note(document: ReportDocument, effective: str | None) -> bool:
    """Whether US Core's report note holds: its Patient does, and there is a date unless the status needs none."""
    dated = effective is not None or document.version.status in ("registered", "cancelled", "entered-in-error")
    return dated and fits_us_core(document)
