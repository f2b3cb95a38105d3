"""What published rules make of a genotype: the phenotype of each gene, and for each drug of the record an issue.

R4's DetectedIssue (9.6) carries what a guideline advises about a drug as `mitigation`, in its own words, with level and
row; `therapeutic_implication.py` says the same in the words of Genomics Reporting. A drug without advice is named as
such: no advice is not the standard dose.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.finding import DrugAdvice, Finding
from gateway.domain.ids import derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.device import device_reference
from gateway.formats.fhir.element import Resource, element, instant, reference
from gateway.formats.fhir.genomic_codes import CATEGORIES, gene_component, phenotype_concept
from gateway.formats.fhir.genotype_observation import genotype_references
from gateway.formats.fhir.record_observation import basis, derived_from, labelled, of_record, status
from gateway.formats.fhir.text import line, paragraphs
from gateway.formats.fhir.therapeutic_implication import genes_of, implication_id, is_implied, phenotype_id
from gateway.ports import ReportDocument

METABOLISM = codes.coding(codes.LOINC, "53040-2", "Genetic variation's effect on drug metabolism")
OWN = codes.coding("urn:dxgate:finding", "gene-phenotype", "Phenotype of a gene from its genotype")
NO_ADVICE = "The tables give no advice for this drug and phenotype, which does not mean the standard dose."


def phenotype_observations(
    finding: Finding, document: ReportDocument, organization_name: str, base_url: str
) -> Iterator[Resource]:
    """One for each gene that was reported."""
    for one in finding.answer.phenotypes if finding.answer else ():
        yield element(
            resourceType="Observation",
            **of_record(phenotype_id(finding, one), finding, document, organization_name),
            meta=labelled(document, base_url),
            category=CATEGORIES,
            code={"coding": [OWN, METABOLISM] if "etabolizer" in one.phenotype else [OWN]},
            valueCodeableConcept=phenotype_concept(one.phenotype),
            note=[{"text": line(f"Reported: {one.genotype}. Source: {one.source}", 1024)}],
            derivedFrom=[*genotype_references(finding, one), *derived_from(finding, document)],
            component=[gene_component(one.gene)],
        )


def detected_issues(finding: Finding, document: ReportDocument, base_url: str) -> Iterator[Resource]:
    """One for each drug of the record that the rules know."""
    for one in finding.answer.advice if finding.answer else ():
        yield _issue(one, finding, document, base_url)


def _issue(one: DrugAdvice, finding: Finding, document: ReportDocument, base_url: str) -> Resource:
    own = derive_id("issue", finding.id, one.drug)
    genes = genes_of(one, finding)
    implied = [implication_id(one, finding)] if is_implied(one, finding) else []
    drugs = [each for each in basis(finding, document) if each["reference"].startswith("Medication")]
    said = paragraphs(one.text or NO_ADVICE, 4096)
    level = f"CPIC level {one.level}. " if one.level else ""
    return element(
        resourceType="DetectedIssue",
        id=own,
        meta=labelled(document, base_url),
        identifier=[{"system": identifier.FINDING, "value": own}],
        status=status(document),
        code={"text": line(f"Pharmacogenomic advice: {one.drug}")},
        patient=reference("Patient", identifier.patient_id(document.study)),
        identifiedDateTime=instant(finding.created_at),
        author=device_reference(finding.made_by),
        implicated=[*(reference("Observation", phenotype_id(finding, each)) for each in genes), *drugs],
        evidence=[{"detail": [reference("Observation", each) for each in (finding.id, *implied)]}],
        detail=line(f"{level}{said} Source: {one.source}.", 4096),
        reference=one.guideline if one.guideline.startswith("https://") else None,
        mitigation=[{"action": {"text": said}, "date": instant(finding.created_at)}],
    )
