"""Observation: what a guideline says of a drug for a genotype, as Therapeutic Implication of Genomics Reporting 3.0.0.

One for each drug for which a row of the tables gives advice; a drug without advice has a DetectedIssue that says so,
and no implication, for none is known. The advice is a conclusion in words: no MedicationRecommendation is made of it,
since that Task is `requested` by its profile, and nobody has decided yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.domain.finding import DrugAdvice, Finding, GenePhenotype
from gateway.domain.ids import derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir.element import Resource, element, reference
from gateway.formats.fhir.genomic_codes import (
    CATEGORIES,
    OWN_CODES,
    THERAPEUTIC_IMPLICATION,
    drug_concept,
    phenotype_concept,
)
from gateway.formats.fhir.genotype_observation import genotype_references
from gateway.formats.fhir.record_observation import labelled, of_record
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

CODE = codes.concept(OWN_CODES, "therapeutic-implication", "Therapeutic Implication")
CONCLUSION = codes.concept(OWN_CODES, "conclusion-string", "Conclusion Text")
MEDICATION = codes.concept(codes.LOINC, "51963-7", "Medication assessed")
EVIDENCE = codes.concept(codes.LOINC, "93044-6", "Level of evidence")
ARTIFACT = "http://hl7.org/fhir/StructureDefinition/workflow-relatedArtifact"


def therapeutic_implications(
    finding: Finding, document: ReportDocument, organization_name: str, base_url: str
) -> Iterator[Resource]:
    for one in finding.answer.advice if finding.answer else ():
        if is_implied(one, finding):
            yield _implication(one, finding, document, organization_name, base_url)


def is_implied(one: DrugAdvice, finding: Finding) -> bool:
    """Whether a row of the tables gives advice, and for a gene of this patient's."""
    return bool(one.text and genes_of(one, finding))


def genes_of(one: DrugAdvice, finding: Finding) -> list[GenePhenotype]:
    """The phenotypes that the row asked for, as far as they are known."""
    return [each for each in (finding.answer.phenotypes if finding.answer else ()) if each.gene in one.genes]


def implication_id(one: DrugAdvice, finding: Finding) -> str:
    return derive_id("implication", finding.id, one.drug)


def phenotype_id(finding: Finding, one: GenePhenotype) -> str:
    return derive_id("phenotype", finding.id, one.gene)


def _implication(
    one: DrugAdvice, finding: Finding, document: ReportDocument, organization_name: str, base_url: str
) -> Resource:
    genes = genes_of(one, finding)
    return element(
        resourceType="Observation",
        **of_record(implication_id(one, finding), finding, document, organization_name),
        meta=labelled(document, base_url, THERAPEUTIC_IMPLICATION),
        extension=_citation(one),
        category=CATEGORIES,
        code=CODE,
        note=[{"text": line(f"Source: {one.source}", 1024)}],
        derivedFrom=[each for gene in genes for each in _sources(finding, gene)],
        component=list(_components(one, genes)),
    )


def _sources(finding: Finding, gene: GenePhenotype) -> list[Resource]:
    """The genotype where one is known, and the phenotype that the rule asked for."""
    return [*genotype_references(finding, gene), reference("Observation", phenotype_id(finding, gene))]


def _components(one: DrugAdvice, genes: Sequence[GenePhenotype]) -> Iterator[Resource]:
    yield {"code": MEDICATION, "valueCodeableConcept": drug_concept(one.drug)}
    for gene in genes:
        said = phenotype_concept(gene.phenotype, f"{gene.gene}: {gene.phenotype}")
        yield {"code": CODE, "valueCodeableConcept": said}
    if one.level:
        yield {"code": EVIDENCE, "valueCodeableConcept": {"text": line(f"CPIC level {one.level} of the gene and drug")}}
    yield {"code": CONCLUSION, "valueString": paragraphs(one.text or "", 4096)}


def _citation(one: DrugAdvice) -> list[Resource]:
    if not one.guideline.startswith("https://"):
        return []
    return [{"url": ARTIFACT, "valueRelatedArtifact": {"type": "citation", "url": one.guideline}}]
