"""A report version as FHIR R4 resources: the one door of this folder for reading and for delivering.

The same version, identity and models always give the same resources, so that a retry sends the same bytes
(decision 2). The models of fhir.resources judge the result in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.finding import Finding
from gateway.formats.fhir.device import device
from gateway.formats.fhir.diagnostic_report import diagnostic_report
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.image_endpoint import image_endpoint
from gateway.formats.fhir.imaging_study import imaging_study
from gateway.formats.fhir.model_card import model_card
from gateway.formats.fhir.observation import observation
from gateway.formats.fhir.organization import organization
from gateway.formats.fhir.patient import patient
from gateway.formats.fhir.practitioner import practitioners
from gateway.formats.fhir.provenance import provenance
from gateway.formats.fhir.recall_notice import recall_notices
from gateway.formats.fhir.record_report import of_record, provenance_of_record, record_resources, review_of_record
from gateway.formats.fhir.review_provenance import review_provenances
from gateway.ports import ReportDocument


@dataclass(frozen=True)
class RenderedReport:
    """The resources of one report version, the DiagnosticReport first. Holds identity and has no text form."""

    resources: tuple[Resource, ...]

    def __repr__(self) -> str:
        return "<RenderedReport>"

    @property
    def report(self) -> Resource:
        return self.resources[0]

    def of_type(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource["resourceType"] == kind]

    def get(self, kind: str, identifier: str) -> Resource | None:
        """The resource `kind`/`identifier`, or None."""
        return next((resource for resource in self.of_type(kind) if resource["id"] == identifier), None)


def render(document: ReportDocument, base_url: str, organization_name: str) -> RenderedReport:
    """`base_url` is the address of the FHIR endpoint (meta.source), `organization_name` who performs the analysis.

    A registered version has a report, the study, the patient, the organisation and a provenance, and nothing else.
    One that a physician has reviewed has the Practitioner and a Provenance with the signature beside that of the AI.
    """
    return RenderedReport(tuple(_resources(document, base_url.rstrip("/"), organization_name)))


def _resources(document: ReportDocument, base_url: str, organization_name: str) -> Iterator[Resource]:
    findings = document.version.content.findings if document.version.content else ()
    if document.study.kind == "record":
        yield from _record(document, base_url, organization_name)
        return
    yield diagnostic_report(document, organization_name, base_url)
    yield patient(document, base_url)
    yield imaging_study(document, base_url)
    yield organization(organization_name, base_url)
    yield from practitioners(document, base_url)
    if document.dicomweb_url:
        yield image_endpoint(document.dicomweb_url, organization_name, base_url)
    for finding in findings:
        yield observation(finding, document, organization_name, base_url)
    yield from _models(findings, document, base_url, organization_name)
    yield provenance(document, organization_name, base_url)
    yield from review_provenances(document, organization_name, base_url)
    yield from recall_notices(document, organization_name, base_url)


def _record(document: ReportDocument, base_url: str, organization_name: str) -> Iterator[Resource]:
    """A report about a patient's record; there is no study of images in it."""
    findings = document.version.content.findings if document.version.content else ()
    made = record_resources(document, organization_name, base_url)
    yield of_record(diagnostic_report(document, organization_name, base_url), made, document)
    yield patient(document, base_url)
    yield organization(organization_name, base_url)
    yield from practitioners(document, base_url)
    yield from made
    yield from _models(findings, document, base_url, organization_name)
    yield provenance_of_record(provenance(document, organization_name, base_url), made, document)
    for reviewed in review_provenances(document, organization_name, base_url):
        yield review_of_record(reviewed, made)
    yield from recall_notices(document, organization_name, base_url)


def _models(
    findings: tuple[Finding, ...], document: ReportDocument, base_url: str, organization_name: str
) -> Iterator[Resource]:
    for made_by in {finding.made_by.model_id: finding.made_by for finding in findings}.values():
        model = document.models.get(made_by.model_id)
        yield device(made_by, model, organization_name, base_url)
        card = model_card(model, base_url) if model is not None else None
        if card is not None:
            yield card
