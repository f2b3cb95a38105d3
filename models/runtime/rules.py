"""Pharmacogenomic rules: genotype to phenotype to recommendation, every answer naming the row it came from.

Nothing is learnt and nothing is guessed: a diplotype that no table row or score equation knows is
indeterminate, and a drug without a row, or with an empty one, gets "no advice", which is not the standard
dose. Sources: CPIC guidelines (cpicpgx.org) as tabulated by pypgx; see the pack's card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.domain.errors import Fault, Invalid, Unsupported
from gateway.domain.record import Site
from models.manifest import RulesManifest
from models.package import Package
from models.runtime.alleles import GeneAlleles, gene_alleles

INDETERMINATE = "Indeterminate"
NOT_AVAILABLE = "None"  # the tables' own word for a gene without a result
LONGEST = 128  # characters of a diplotype
MOST_COPIES = 13
_COPIES = re.compile(r"(?P<allele>.+)x(?P<count>[1-9]\d?)")


@dataclass(frozen=True)
class Phenotype:
    """What a genotype means. `source` is the table and row; `score` only where the gene is scored."""

    gene: str
    name: str
    score: str | None
    source: str


@dataclass(frozen=True)
class Advice:
    """What the guideline says for a drug. `text` None: no advice in the tables, which is not the standard dose."""

    drug: str
    phenotypes: tuple[Phenotype, ...]
    text: str | None
    cpic_level: str
    guideline: str
    source: str


class RulesTable:
    """The tables of a verified pack, indexed; shared freely, nothing in it changes."""

    def __init__(self, package: Package) -> None:
        if not isinstance(package.manifest, RulesManifest):
            raise Unsupported(f"{package.manifest.name} is no pack of rules")
        self.package = package
        self.manifest = package.manifest
        self.provider = "Python"
        self.runtime = "models.runtime.rules"
        tables = _parsed(package.content[package.manifest.artefact])
        self.version: str = tables["version"]
        self.diplotypes: Mapping[str, Mapping[str, str]] = {
            gene: _unfolded(table) for gene, table in tables["diplotypes"].items()
        }
        self.scores: Mapping[str, Mapping[str, str]] = tables["scores"]
        self.equations: Mapping[str, list[dict[str, str]]] = tables["equations"]
        self.rows: list[dict[str, str]] = tables["recommendations"]
        self.pairs: Mapping[str, dict[str, str]] = tables["pairs"]
        self.alleles: Mapping[str, GeneAlleles] = gene_alleles(tables.get("alleles", {}))
        self._by_drug = _by_drug(self.rows)
        genes = set(self.diplotypes) | set(self.equations)
        if set(self.manifest.input.genes) != genes or not set(self.alleles) <= genes:
            raise Fault(f"{self.manifest.name}: the tables hold other genes than the manifest")

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site by which the tables tell alleles apart; none in a pack without allele definitions."""
        return tuple(site for one in self.alleles.values() for site in one.sites)

    @property
    def drugs(self) -> tuple[str, ...]:
        """Every drug with at least one row."""
        return tuple(sorted(self._by_drug))

    def phenotype(self, gene: str, diplotype: str) -> Phenotype:
        """The phenotype of `a/b`, in either order. Raises `Unsupported` for a gene without tables."""
        if len(diplotype) > LONGEST or diplotype.count("/") != 1:
            raise Invalid(f"{gene}: not a diplotype of two alleles")
        first, second = (part.strip() for part in diplotype.split("/"))
        if gene in self.equations:
            return self._scored(gene, first, second)
        if gene not in self.diplotypes:
            raise Unsupported(f"no table for the gene {gene}")
        for written in (f"{first}/{second}", f"{second}/{first}"):
            name = self.diplotypes[gene].get(written)
            if name is not None:
                return Phenotype(gene, name, None, f"diplotype table, {gene} {written}")
        return Phenotype(gene, INDETERMINATE, None, f"diplotype table, {gene}: no row")

    def names(self, gene: str, diplotype: str) -> bool:
        """Whether the tables name the pair, or both alleles of a scored gene; what follows may yet be indeterminate."""
        first, _, second = (part.strip() for part in diplotype.partition("/"))
        if gene in self.equations:
            defined = self.alleles[gene].alleles if gene in self.alleles else {}
            return {first, second} <= self.scores[gene].keys() | defined.keys()
        return not self.diplotypes.get(gene, {}).keys().isdisjoint({f"{first}/{second}", f"{second}/{first}"})

    def by_score(self, gene: str, score: str) -> Phenotype:
        """The phenotype of an activity score, by the gene's equations."""
        if gene not in self.equations:
            raise Unsupported(f"{gene} is not scored")
        try:
            value = Decimal(score)
        except InvalidOperation as error:
            raise Invalid(f"{gene}: the activity score is not a number") from error
        for row in self.equations[gene]:
            if Decimal(row["low"]) <= value and (not row["below"] or value < Decimal(row["below"])):
                return Phenotype(gene, row["phenotype"], f"{value.normalize():f}", f"equation table, {row['equation']}")
        return Phenotype(gene, INDETERMINATE, f"{value.normalize():f}", f"equation table, {gene}: no row")

    def as_reported(self, gene: str, phenotype: str) -> Phenotype:
        """A phenotype that a laboratory has named itself, in the tables' own spelling; else indeterminate."""
        known = {row["phenotype"] for row in self.equations.get(gene, ())} | set(self.diplotypes.get(gene, {}).values())
        name = next((one for one in sorted(known) if one.casefold() == phenotype.strip().casefold()), INDETERMINATE)
        return Phenotype(gene, name, None, f"{gene}: phenotype as the laboratory reported it")

    def diplotypes_of(self, gene: str, phenotype: str) -> tuple[str, ...]:
        """The other direction: every tabulated diplotype with this phenotype."""
        return tuple(name for name, found in self.diplotypes.get(gene, {}).items() if found == phenotype)

    def rows_for(self, text: str) -> tuple[int, ...]:
        """The other direction: numbers of the rows that give this recommendation."""
        return tuple(number for number, row in enumerate(self.rows) if row["recommendation"] == text)

    def advise(self, drug: str, phenotypes: Iterable[Phenotype]) -> Advice:
        """What the tables say for `drug`; genes that are not given count as not available."""
        known = {one.gene: one for one in phenotypes}
        for number in self._by_drug.get(drug, ()):
            row = self.rows[number]
            used = _match(row, known)
            if used is not None:
                return self._told(drug, used, row, f"recommendation table, row {number + 1}")
        return self._told(drug, tuple(known.values()), {}, "recommendation table: no row")

    def _told(self, drug: str, used: tuple[Phenotype, ...], row: Mapping[str, str], source: str) -> Advice:
        pair = next((self.pairs[key] for one in used if (key := f"{one.gene} {drug}") in self.pairs), {})
        text = row.get("recommendation") or None
        return Advice(
            drug, used, text, pair.get("level", ""), pair.get("guideline", ""), f"{source}, tables {self.version}"
        )

    def _scored(self, gene: str, first: str, second: str) -> Phenotype:
        total = Decimal(0)
        for allele in (first, second):
            whole = allele in self.scores[gene]  # c.1905+1G>A is one allele, *36+*10 are two in a row
            for part in [allele] if whole else allele.split("+"):
                score = self._allele(gene, part.strip())
                if score is None:
                    return Phenotype(gene, INDETERMINATE, None, f"allele table, {gene}: an allele without a score")
                total += score
        return self.by_score(gene, str(total))

    def _allele(self, gene: str, allele: str) -> Decimal | None:
        """An allele's activity; `*1x2` is two copies of `*1`."""
        scores = self.scores[gene]
        if allele in scores:
            return Decimal(scores[allele])
        copies = _COPIES.fullmatch(allele)
        if copies is None or copies["allele"] not in scores or int(copies["count"]) > MOST_COPIES:
            return None
        return Decimal(scores[copies["allele"]]) * int(copies["count"])


def _by_drug(rows: list[dict[str, str]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row["drug"], []).append(number)
    return found


def _match(row: Mapping[str, str], known: Mapping[str, Phenotype]) -> tuple[Phenotype, ...] | None:
    """The phenotypes that a row asks for, or None where it is another row."""
    used = []
    for gene, wanted in ((row["gene1"], row["phenotype1"]), (row["gene2"], row["phenotype2"])):
        if not gene:
            continue
        have = known.get(gene) or Phenotype(gene, NOT_AVAILABLE, None, "no result given")
        if have.name != wanted:
            return None
        used.append(have)
    return tuple(used)


def _unfolded(table: Mapping[str, list[str]]) -> dict[str, str]:
    """Rows `first second phenotype`, as numbers into the lists beside them, to diplotype and phenotype."""
    alleles, phenotypes = table["alleles"], table["phenotypes"]
    rows = (tuple(map(int, row.split())) for row in table["rows"])
    return {f"{alleles[first]}/{alleles[second]}": phenotypes[name] for first, second, name in rows}


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        tables = json.loads(raw)
    except ValueError as error:
        raise Invalid("rules.json is not JSON") from error
    wanted = {"version", "diplotypes", "scores", "equations", "recommendations", "pairs", "notice"}
    if not isinstance(tables, dict) or set(tables) - {"alleles"} != wanted:
        raise Invalid(f"rules.json must hold {', '.join(sorted(wanted))}")
    return tables
