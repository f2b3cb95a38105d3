"""What a record's genotypes mean, gene by gene: as the laboratory reported them, else as called from variants.

A laboratory's own report of a gene counts before a call: it may know copy number and phase. One that the tables do
not know gives way to a call. Where both are there and mean different things, that is told beside the answer.
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
    """One gene with a phenotype, indeterminate ones of a report included; `diplotype` where one pair is known."""

    gene: str
    genotype: str
    phenotype: Phenotype
    is_known: bool = True  # to the tables
    diplotype: str = ""


@dataclass(frozen=True)
class Told:
    """Genes that are answered for; `aside`: genes that were not determined, and why; `notes`: contradictions, and what
    was not read; `silent`: genes without any site."""

    genes: tuple[Gene, ...]
    aside: tuple[str, ...]
    notes: tuple[str, ...]
    silent: tuple[str, ...]


def told_of(tables: RulesTable, document: InputDocument) -> Told:
    reported = {one.gene: _reported(tables, one) for one in document.genotypes}
    called, silent = call_genes(tables, document.calls)
    answered = {one.gene: _gene(one) for one in called if one.phenotype is not None}
    aside = tuple(f"{one.gene}: {one.reason}" for one in called if one.phenotype is None and one.gene not in reported)
    notes = (_note(one, reported[one.gene]) for one in called if one.gene in reported and is_determined(one))
    better = {one.gene for one in called if is_determined(one)}
    found = answered | {gene: one for gene, one in reported.items() if one.is_known or gene not in better}
    genes = tuple(found[gene] for gene in sorted(found))
    return Told(genes, aside, tuple(one for one in (*notes, *document.unread) if one), silent)


def nothing_told(told: Told, document: InputDocument) -> str:
    """Why a record without any answer is refused."""
    if not document.calls and not document.unread:
        return "no genotype was reported for a gene that the tables know"
    lacking = f"; no site was read of {', '.join(told.silent)}" if told.silent and document.calls else ""
    return f"no phenotype follows from what was told: {'; '.join((*told.aside, *told.notes))}{lacking}"[:LONGEST]


def _gene(one: Called) -> Gene:
    if one.phenotype is None:
        raise ValueError("a gene that was not determined")
    return Gene(one.gene, f"{one.genotype} (from variants)", one.phenotype, diplotype=one.pair)


def _reported(tables: RulesTable, one: Genotype) -> Gene:
    found = _phenotype(tables, one)
    known = found.name != INDETERMINATE or _is_named(tables, one)
    return Gene(one.gene, _as_reported(one), found, known, one.diplotype if known else "")


def _is_named(tables: RulesTable, one: Genotype) -> bool:
    if one.diplotype:
        return tables.names(one.gene, one.diplotype)
    return one.phenotype.strip().casefold() == INDETERMINATE.casefold()


def _note(called: Called, report: Gene) -> str:
    """Of a determined call beside a report: which was used, where they differ."""
    if called.phenotype is None or called.phenotype.name == report.phenotype.name:
        return ""
    if not report.is_known:
        return f"{called.gene}: the laboratory's report {report.genotype} is not in the tables; the variants were used"
    said = report.phenotype.name
    if said == INDETERMINATE and report.genotype.casefold() != said.casefold():
        said = f"{report.genotype}, which the tables call indeterminate"
    return (
        f"{called.gene}: the variants say {called.phenotype.name}, the laboratory's report {said}; the report was used"
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
