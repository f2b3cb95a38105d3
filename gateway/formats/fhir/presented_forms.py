"""DiagnosticReport.presentedForm: the report as HTML and as PDF, each with size and hash (FHIR R4 2.24.0.7)."""

from __future__ import annotations

from gateway.formats.fhir.element import Resource, attachment, instant
from gateway.formats.fhir.printed_pdf import printed_pdf
from gateway.formats.fhir.printed_report import printed_report
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument


def presented_forms(document: ReportDocument, organization_name: str) -> list[Resource]:
    """HTML first: it is the complete one (IHE IMR asks for it); the PDF is for EHRs that show nothing else."""
    version = document.version
    title = line(f"AI analysis, version {version.version}, {version.status}")
    created = instant(version.created_at)
    page = printed_report(document, organization_name).encode("utf-8")
    return [
        attachment(page, "text/html", language="en", title=title, creation=created),
        attachment(
            printed_pdf(document, organization_name), "application/pdf", language="en", title=title, creation=created
        ),
    ]
