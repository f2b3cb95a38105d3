"""Which phenotype of a gene follows from genotypes at its sites, or why none does; by the tables of a pack of rules.

An answer is given only where every pair of alleles that fits what was read has the same phenotype in the tables.
Else the reason names the sites that were not read, or the pairs that cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.domain.record import SiteCall
from models.runtime.alleles import GeneAlleles, Pairs, fitting
from models.runtime.rules import INDETERMINATE, Phenotype, RulesTable

NAMED: Final = 6  # sites or pairs that are named


@dataclass(frozen=True)
class Called:
    """Of one gene: the pairs in words and their phenotype, or why it was not determined; `pair` where it is one."""

    gene: str
    genotype: str
    phenotype: Phenotype | None
    reason: str = ""
    pair: str = ""


def call_genes(tables: RulesTable, calls: Iterable[SiteCall]) -> tuple[tuple[Called, ...], tuple[str, ...]]:
    """One for each gene of which a site was read, and the genes of which none was."""
    by_site = {one.site: one for one in calls}
    found, silent = [], []
    for name, gene in tables.alleles.items():
        pairs = fitting(gene, by_site)
        if pairs.read:
            found.append(_called(tables, gene, pairs))
        else:
            silent.append(name)
    return tuple(found), tuple(silent)


def _called(tables: RulesTable, gene: GeneAlleles, pairs: Pairs) -> Called:
    if not pairs.found:
        return Called(gene.gene, "", None, "no pair of published alleles explains what was read")
    told = [tables.phenotype(gene.gene, f"{first}/{second}") for first, second in pairs.found]
    written = _some([f"{first}/{second}" for first, second in pairs.found], " or ")
    if len({one.name for one in told}) > 1:
        return Called(gene.gene, written, None, _why_not(gene, pairs, written))
    score = told[0].score if len({one.score for one in told}) == 1 else None
    source = f"allele table, {gene.gene} {written} from {pairs.read} of {len(gene.sites)} sites"
    if gene.unseen:
        source += f", {', '.join(gene.unseen)} not looked for"
    row = told[0].source if len(told) == 1 else f"diplotype table, the same in {len(told)} rows"
    phenotype = Phenotype(gene.gene, told[0].name, score, f"{source}; {row}")
    return Called(gene.gene, written, phenotype, pair=written if len(told) == 1 else "")


def _why_not(gene: GeneAlleles, pairs: Pairs, written: str) -> str:
    unread = set(pairs.unread)
    telling = [
        site.name for place, site in enumerate(gene.sites) if site.name in unread and _differ(gene, pairs, place)
    ]
    if not telling:
        return f"{written} cannot be told apart without phase"
    return f"no confident genotype at {_some(telling, ', ')}; possible: {written}"


def _differ(gene: GeneAlleles, pairs: Pairs, place: int) -> bool:
    """Whether a genotype at a site would tell the pairs that fit apart."""
    seen = (frozenset((gene.alleles[one][place], gene.alleles[other][place])) for one, other in pairs.found)
    first = next(seen)
    return any(each != first for each in seen)


def is_determined(one: Called) -> bool:
    return one.phenotype is not None and one.phenotype.name != INDETERMINATE


def _some(words: tuple[str, ...] | list[str], between: str) -> str:
    more = f"{between if between != ', ' else ' and '}{len(words) - NAMED} more" if len(words) > NAMED else ""
    return between.join(words[:NAMED]) + more
