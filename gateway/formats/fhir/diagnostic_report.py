"""DiagnosticReport: what the study's analysis says, preliminary until a physician signs (R4 10.3, US Core report note).

`resultsInterpreter` stays empty until somebody has signed, and `performer` names the organisation: R4 allows no
device there. AI content carries the labels of the AI Transparency guide on the resource and on each element.
"""

from __future__ import annotations

from datetime import datetime

from gateway.domain.report import ReportVersion
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.dicom_date import fhir_date
from gateway.formats.fhir.element import Resource, element, instant, meta, reference
from gateway.formats.fhir.imaging_study import study_reference
from gateway.formats.fhir.organization import organization_reference
from gateway.formats.fhir.patient import fits_us_core
from gateway.formats.fhir.practitioner import interpreters, practitioner_reference, reviews_in_force
from gateway.formats.fhir.presented_forms import presented_forms
from gateway.formats.fhir.printed_report import PRINTED_IMAGES
from gateway.formats.fhir.standing import MARKS
from gateway.formats.fhir.text import paragraphs
from gateway.ports import ReportDocument

PROFILE = f"{codes.US_CORE}/us-core-diagnosticreport-note"
IMR_PROFILE = "https://profiles.ihe.net/RAD/IMR/StructureDefinition/imr-diagnosticreport"
_IMR_STATUSES = frozenset({"final", "amended", "corrected", "appended"})
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
    reworded = is_reworded(document)
    effective = fhir_date(identity.study_date)
    return element(
        resourceType="DiagnosticReport",
        id=str(version.report_id),
        meta=meta(
            base_url,
            version=version.version,
            updated=version.created_at,
            profiles=_profiles(document, effective, whole) or None,
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
        issued=instant(issued_at(document)),
        performer=[organization_reference(organization_name)],
        resultsInterpreter=[practitioner_reference(who) for who in interpreters(document)],
        result=[reference("Observation", finding.id) for finding in findings],
        imagingStudy=[study_reference(document)],
        conclusion=conclusion,
        _conclusion={"extension": [codes.inline_label()]} if findings and conclusion and not reworded else None,
        conclusionCode=[
            codes.answered(finding, extension=[codes.inline_label()])
            for finding in findings
            if finding.decided and not reworded  # a code of the model must not gainsay the physician's words
        ],
        presentedForm=presented_forms(document, organization_name) if whole and conclusion else None,
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
    mark = MARKS.get(version.status) if version.content.findings else None
    return f"{mark}\n{said}" if mark else said


def is_reworded(document: ReportDocument) -> bool:
    """Whether a physician has put the conclusion into other words than the model's."""
    return any(review.verdict == "changed" for review in reviews_in_force(document))


def issued_at(document: ReportDocument) -> datetime:
    """When the version was made, or, where a physician stands behind it, when it was signed."""
    decided = reviews_in_force(document)
    return decided[-1].at if decided else document.version.created_at


def _profiles(document: ReportDocument, effective: str | None, whole: bool) -> list[str]:
    noted = [PROFILE] if _is_note(document, effective) else []
    return [*noted, IMR_PROFILE] if whole and effective and _is_multimedia_report(document) else noted


def _is_multimedia_report(document: ReportDocument) -> bool:
    """Whether IHE IMR 1.1 holds: signed by somebody, presented as HTML, images reachable and named.

    An unsigned result never claims it, for `issued` is the time of sign-off there.
    """
    return (
        document.version.status in _IMR_STATUSES
        and bool(interpreters(document))
        and bool(document.dicomweb_url)
        and bool(document.study.modalities)
        and identifier.study_uid(document.identity.study_instance_uid) is not None
    )


def _is_note(document: ReportDocument, effective: str | None) -> bool:
    """Whether US Core's report note holds: its Patient does, and there is a date unless the status needs none."""
    dated = effective is not None or document.version.status in ("registered", "cancelled", "entered-in-error")
    return dated and fits_us_core(document)
