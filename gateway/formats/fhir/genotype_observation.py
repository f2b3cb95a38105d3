"""Observation: the genotype of one gene that rules have read, as Genotype of HL7 Genomics Reporting 3.0.0.

One for each gene of which exactly one pair of alleles is known. Where several pairs explain what was read, or a
laboratory told a phenotype alone, there is none: the profile asks for a genotype, and a list of candidates is no such.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.domain.finding import Finding, GenePhenotype
from gateway.domain.ids import derive_id
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir.element import Resource, element, reference
from gateway.formats.fhir.genomic_codes import CATEGORIES, GENOTYPE, gene_component
from gateway.formats.fhir.record_observation import derived_from, labelled, of_record
from gateway.formats.fhir.text import line
from gateway.ports import ReportDocument

CODE = codes.concept(codes.LOINC, "84413-4")


def genotype_observations(
    finding: Finding, document: ReportDocument, organization_name: str, base_url: str
) -> Iterator[Resource]:
    for one in finding.answer.phenotypes if finding.answer else ():
        if one.diplotype:
            yield _genotype(one, finding, document, organization_name, base_url)


def genotype_references(finding: Finding, one: GenePhenotype) -> list[Resource]:
    """The genotype of a gene, where there is one."""
    return [reference("Observation", _own_id(finding, one))] if one.diplotype else []


def _genotype(
    one: GenePhenotype, finding: Finding, document: ReportDocument, organization_name: str, base_url: str
) -> Resource:
    return element(
        resourceType="Observation",
        **of_record(_own_id(finding, one), finding, document, organization_name),
        meta=labelled(document, base_url, GENOTYPE),
        category=CATEGORIES,
        code=CODE,
        valueCodeableConcept={"text": line(f"{one.gene} {one.diplotype}")},
        note=[{"text": line(f"As the rules read it: {one.genotype}. Source: {one.source}", 1024)}],
        derivedFrom=derived_from(finding, document),
        component=[gene_component(one.gene)],
    )


def _own_id(finding: Finding, one: GenePhenotype) -> str:
    return derive_id("genotype", finding.id, one.gene)
