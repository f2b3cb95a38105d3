"""Genotypes that a laboratory has reported, from Observations of the Genomics Reporting guide (STU2).

A genotype observation (LOINC 84413-4) names the diplotype, a metabolizer observation (53040-2) the phenotype; the
gene is the component 48018-6. What is told of single variants is read in `variants.py`, a VCF in `genome_files.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gateway.domain.record import Genotype
from gateway.flow.record.concept import loinc_codes, words, written
from gateway.flow.record.entries import Resource, is_read
from gateway.flow.record.genome_files import OBSERVED, Heard

GENOTYPE, PHENOTYPE, GENE = "84413-4", "53040-2", "48018-6"
UNUSABLE = "a reported genotype names no gene of the tables, or is not written as two alleles or as a phenotype"
DIFFER = "reports of one time differ, none was used"
_DIPLOTYPE = re.compile(r"[A-Za-z0-9*+.:>_() -]{1,60}/[A-Za-z0-9*+.:>_() -]{1,60}")
_GENE = re.compile(r"[A-Z][A-Z0-9-]{1,15}")
_PHENOTYPE = re.compile(r"[A-Za-z][A-Za-z +/-]{2,60}")


def genotypes(resources: Sequence[Resource], genes: Sequence[str]) -> tuple[tuple[Genotype, ...], tuple[str, ...]]:
    """One for each gene that a model knows and a laboratory has reported, and the resources they came from.

    The last report of a gene counts, by its time, unless two of that time differ; what does not look like an allele or
    a phenotype is not passed on.
    """
    found = _last(resources, genes)
    chosen = [found[gene][0] for gene in sorted(found) if _agree(found[gene])]
    return tuple(one for one, _ in chosen), tuple(dict.fromkeys(source for _, source in chosen))


def gainsaid(resources: Sequence[Resource], genes: Sequence[str]) -> list[Heard]:
    """Genes whose last reports differ though they are of one time: none of them is believed."""
    found = _last(resources, genes)
    return [
        Heard(source, unread=f"{gene}: {DIFFER}")
        for gene in sorted(found)
        if not _agree(found[gene])
        for _, source in found[gene]
    ]


def _last(resources: Sequence[Resource], genes: Sequence[str]) -> dict[str, list[tuple[Genotype, str]]]:
    """By gene the newest reports and their sources; several only where they are of one time."""
    ranks: dict[str, str] = {}
    found: dict[str, list[tuple[Genotype, str]]] = {}
    for resource in resources:
        for one in _reported(resource) if _counts(resource) else ():
            when = str(resource.get("effectiveDateTime") or resource.get("issued") or "")
            rank = f"{when}|{'2' if one.diplotype else '1'}"  # the same report: a diplotype says more than a phenotype
            if one.gene in genes and rank >= ranks.get(one.gene, ""):
                before = found.get(one.gene, []) if rank == ranks.get(one.gene) else []
                ranks[one.gene], found[one.gene] = rank, [*before, (one, f"Observation/{resource.get('id')}")]
    return found


def _agree(reports: Sequence[tuple[Genotype, str]]) -> bool:
    """The order of two alleles says nothing, nor does the case of a phenotype."""
    return len({(*sorted(one.diplotype.split("/")), one.phenotype.casefold()) for one, _ in reports}) == 1


def unusable(resources: Sequence[Resource], genes: Sequence[str]) -> list[Heard]:
    """Reports of a genotype or a phenotype of which nothing can be taken; without a word of them."""
    return [
        Heard(f"Observation/{resource.get('id')}", unread=UNUSABLE)
        for resource in resources
        if _counts(resource)
        and loinc_codes(resource.get("code")) & {GENOTYPE, PHENOTYPE}
        and not any(one.gene in genes for one in _reported(resource))
    ]


def _counts(resource: Resource) -> bool:
    return resource.get("resourceType") == "Observation" and is_read(resource) and resource.get("status") in OBSERVED


def _reported(resource: Resource) -> Iterator[Genotype]:
    kinds = loinc_codes(resource.get("code"))
    gene = next((word for word in _of_component(resource, GENE) if _GENE.fullmatch(word.upper())), "").upper()
    said = written(resource.get("valueCodeableConcept")) or [str(resource.get("valueString") or "")]
    if GENOTYPE in kinds:
        for text in said:
            own, _, rest = text.partition(" ")
            named, allele = (own, rest) if _GENE.fullmatch(own) and "/" in rest else (gene, text)
            if named and _DIPLOTYPE.fullmatch(allele.strip()):
                yield Genotype(named, diplotype=allele.strip())
                return
    if PHENOTYPE in kinds and gene:
        for text in said:
            if _PHENOTYPE.fullmatch(text):
                yield Genotype(gene, phenotype=text)
                return


def _of_component(resource: Resource, code: str) -> Iterator[str]:
    for part in resource.get("component") or ():
        if isinstance(part, dict) and code in loinc_codes(part.get("code")):
            yield from words(part.get("valueCodeableConcept"))
