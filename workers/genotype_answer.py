"""What a record's genotypes mean, gene by gene: as the laboratory reported them, else as called from variants.

A laboratory's own report of a gene counts before a call: it may know copy number and phase. Where both are there and
mean different things, that is told beside the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.errors import GatewayError
from gateway.domain.record import Genotype, InputDocument
from models.runtime.genotype import Called, call_genes, is_determined
from models.runtime.rules import INDETERMINATE, Phenotype, RulesTable

LONGEST = 4000  # characters of a reason


@dataclass(frozen=True)
class Gene:
    """One gene with a phenotype, indeterminate ones of a report included."""

    gene: str
    genotype: str
    phenotype: Phenotype


@dataclass(frozen=True)
class Told:
    """Genes that are answered for; `aside`: what was not determined, and why; `silent`: genes without any site."""

    genes: tuple[Gene, ...]
    aside: tuple[str, ...]
    silent: tuple[str, ...]


def told_of(tables: RulesTable, document: InputDocument) -> Told:
    reported = {one.gene: Gene(one.gene, _as_reported(one), _phenotype(tables, one)) for one in document.genotypes}
    called, silent = call_genes(tables, document.calls)
    answered = {one.gene: _gene(one) for one in called if one.phenotype is not None}
    aside = [_aside(one, reported) for one in called]
    found = answered | reported
    genes = tuple(found[gene] for gene in sorted(found))
    return Told(genes, tuple(one for one in (*aside, *document.unread) if one), silent)


def nothing_told(told: Told, document: InputDocument) -> str:
    """Why a record without any answer is refused."""
    if not document.calls and not document.unread:
        return "no genotype was reported for a gene that the tables know"
    lacking = f"; no site was read of {', '.join(told.silent)}" if told.silent and document.calls else ""
    return f"no phenotype follows from the variants: {'; '.join(told.aside)}{lacking}"[:LONGEST]


def _gene(one: Called) -> Gene:
    if one.phenotype is None:
        raise ValueError("a gene that was not determined")
    return Gene(one.gene, f"{one.genotype} (from variants)", one.phenotype)


def _aside(one: Called, reported: dict[str, Gene]) -> str:
    report = reported.get(one.gene)
    if report is None:
        return f"{one.gene}: {one.reason}" if one.phenotype is None else ""
    if one.phenotype is None or not is_determined(one) or one.phenotype.name == report.phenotype.name:
        return ""
    return (
        f"{one.gene}: the variants say {one.phenotype.name}, the laboratory's report {report.phenotype.name}; "
        "the report was used"
    )


def _phenotype(tables: RulesTable, one: Genotype) -> Phenotype:
    try:
        if one.diplotype:
            return tables.phenotype(one.gene, one.diplotype)
        if one.score:
            return tables.by_score(one.gene, one.score)
    except GatewayError:
        return Phenotype(one.gene, INDETERMINATE, None, f"{one.gene}: the reported genotype is not one of the tables'")
    return tables.as_reported(one.gene, one.phenotype)


def _as_reported(one: Genotype) -> str:
    return one.diplotype or one.phenotype or f"activity score {one.score}"
