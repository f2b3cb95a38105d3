"""A report about a patient's record: what is different from one about images, in DiagnosticReport and Provenance.

No ImagingStudy, no study date; the report names its RiskAssessment by the extension that R4 has for it
(diagnosticReport-risk), and DetectedIssue and CarePlan by one of our own, for R4 has none. One in which rules have read
genes is a Genomic Report of HL7 Genomics Reporting 3.0.0 as well, found by its code and category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.domain.finding import Finding
from gateway.domain.ids import FindingId, derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir.care_plan import care_plan
from gateway.formats.fhir.detected_issue import detected_issues, phenotype_observations
from gateway.formats.fhir.element import Resource, element, instant, reference
from gateway.formats.fhir.genomic_codes import GENETICS
from gateway.formats.fhir.genomic_codes import REPORT as GENOMIC_REPORT
from gateway.formats.fhir.genotype_observation import genotype_observations
from gateway.formats.fhir.record_observation import record_observation
from gateway.formats.fhir.risk_assessment import risk_assessment
from gateway.formats.fhir.therapeutic_implication import therapeutic_implications
from gateway.ports import ReportDocument

RISK = "http://hl7.org/fhir/StructureDefinition/diagnosticReport-risk"
PROPOSAL = "urn:dxgate:report-proposal"
_WORDS = "AI analysis of a patient's record"
_OWN = codes.coding("urn:dxgate:report-kind", "record-analysis", _WORDS)
_GENETIC = codes.coding(codes.LOINC, "51969-4", "Genetic analysis report")
OTHER = codes.concept(f"{codes.THO}/v2-0074", "OTH", "Other")


def record_resources(document: ReportDocument, organization_name: str, base_url: str) -> list[Resource]:
    """Observations, risks, issues and plans of every finding."""
    found: list[Resource] = []
    for one in document.version.content.findings if document.version.content else ():
        finding = _standing(one, document)
        found.append(record_observation(finding, document, organization_name, base_url))
        if finding.answer and finding.answer.labels:
            found.append(risk_assessment(finding, document, base_url))
        found += genotype_observations(finding, document, organization_name, base_url)
        found += phenotype_observations(finding, document, organization_name, base_url)
        found += therapeutic_implications(finding, document, organization_name, base_url)
        found += detected_issues(finding, document, base_url)
        if finding.answer and finding.answer.proposals:
            found.append(care_plan(finding, document, base_url))
    return found


def _standing(finding: Finding, document: ReportDocument) -> Finding:
    """One resource for each model and record, so that what is said anew is a version of what it replaces."""
    own = derive_id("record-finding", document.study.id, finding.made_by.model_id)
    return replace(finding, id=FindingId(own))


def of_record(report: Resource, resources: Sequence[Resource], document: ReportDocument) -> Resource:
    """The DiagnosticReport of a record, from the one that would stand for images."""
    genomic = _reads_genes(document)
    meta = {name: value for name, value in report["meta"].items() if name != "profile"}
    kept = {name: value for name, value in report.items() if name not in ("imagingStudy", "extension")}
    links = [_link(each) for each in resources if each["resourceType"] != "Observation"]
    return element(
        **kept
        | {
            "meta": element(**meta, profile=[GENOMIC_REPORT] if genomic else None),
            "category": [GENETICS, OTHER] if genomic else [OTHER],
            "code": {"coding": [_OWN, _GENETIC], "text": _WORDS} if genomic else {"coding": [_OWN]},
            "effectiveDateTime": instant(document.version.created_at),
            "result": [_named(each) for each in resources if each["resourceType"] == "Observation"],
            "extension": [*report.get("extension", ()), *links],
        }
    )


def provenance_of_record(made: Resource, resources: Sequence[Resource], document: ReportDocument) -> Resource:
    """The Provenance of a record: every resource is a target, every resource that was gathered a source."""
    entities = [each for each in made["entity"] if not _is_study(each)]
    sources = dict.fromkeys(each for names in document.basis.values() for each in names)
    gathered = [{"role": "source", "what": {"reference": each}} for each in sources]
    report = made["target"][0]
    kept = {name: value for name, value in made.items() if name != "entity"}
    return element(**kept | {"target": [report, *map(_named, resources)], "entity": [*entities, *gathered] or None})


def review_of_record(made: Resource, resources: Sequence[Resource]) -> Resource:
    """The Provenance of a physician's decision, which is about every resource of the record's report."""
    return {**made, "target": [made["target"][0], *map(_named, resources)]}


def _reads_genes(document: ReportDocument) -> bool:
    findings = document.version.content.findings if document.version.content else ()
    return any(finding.answer and finding.answer.phenotypes for finding in findings)


def _is_study(entity: Resource) -> bool:
    return str(entity["what"].get("reference", "")).startswith("ImagingStudy/")


def _link(resource: Resource) -> Resource:
    url = RISK if resource["resourceType"] == "RiskAssessment" else PROPOSAL
    return {"url": url, "valueReference": _named(resource)}


def _named(resource: Resource) -> Resource:
    return reference(resource["resourceType"], resource["id"])
