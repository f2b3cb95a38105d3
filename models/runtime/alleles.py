"""From genotypes at sites to pairs of named alleles, by published allele definitions; nothing is taken for granted.

A named allele is a haplotype: a sequence at each site of its gene. A pair fits where every site that was read is
explained by it, phase included. A site that was not read excludes nothing, so the reference allele follows only from
sites that were read as the reference. What the answer needs is that all pairs that fit mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import Invalid
from gateway.domain.record import Site, SiteCall

MOST_ALLELES: Final = 512  # of a gene
Letters = frozenset[str]


@dataclass(frozen=True)
class GeneAlleles:
    """Definitions of one gene. `unseen` are its structural alleles, which small variants do not show."""

    gene: str
    sites: tuple[Site, ...]
    alleles: Mapping[str, tuple[Letters, ...]]
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Pairs:
    """The pairs that fit, and the sites that were not read."""

    found: tuple[tuple[str, str], ...]
    read: int
    unread: tuple[str, ...]


def gene_alleles(tables: Mapping[str, Any]) -> dict[str, GeneAlleles]:
    """The definitions by gene, of a pack's `alleles`. Raises `Invalid` where they do not fit together."""
    try:
        return {gene: _gene(gene, told) for gene, told in tables.items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise Invalid("rules.json: the allele definitions are not of the form that is read") from None


def _gene(gene: str, told: Mapping[str, Any]) -> GeneAlleles:
    sites = tuple(Site(gene=gene, **{**one, "letters": tuple(one["letters"])}) for one in told["sites"])
    base = [frozenset({one}) for one in told["reference"]]
    alleles: dict[str, tuple[Letters, ...]] = {}
    for name, changes in told["alleles"].items():
        row = list(base)
        for place, letters in changes.items():
            row[int(place)] = frozenset(letters)
        alleles[name] = tuple(row)
    known = all(
        letters <= set(site.letters) for row in alleles.values() for letters, site in zip(row, sites, strict=True)
    )
    if not known or len(alleles) > MOST_ALLELES:
        raise ValueError("letters that no site has, or too many alleles")
    return GeneAlleles(gene, sites, alleles, tuple(told["unseen"]))


def fitting(gene: GeneAlleles, calls: Mapping[str, SiteCall]) -> Pairs:
    """Every pair of alleles that explains the calls; none where nothing was read."""
    read = [(place, calls[site.name]) for place, site in enumerate(gene.sites) if site.name in calls]
    unread = tuple(site.name for site in gene.sites if site.name not in calls)
    if not read:
        return Pairs((), 0, unread)
    possible = [
        (name, row)
        for name, row in gene.alleles.items()
        if all(row[place] & {call.first, call.second} for place, call in read)
    ]
    found = tuple(
        (first, second)
        for number, (first, one) in enumerate(possible)
        for second, other in possible[number:]
        if _explains(one, other, read)
    )
    return Pairs(found, len(read), unread)


def _explains(one: Sequence[Letters], other: Sequence[Letters], read: Sequence[tuple[int, SiteCall]]) -> bool:
    """Within a phase, the same allele must be the first at every site."""
    ways: dict[int, list[bool]] = {}
    for place, call in read:
        straight = call.first in one[place] and call.second in other[place]
        crossed = call.second in one[place] and call.first in other[place]
        if not (straight or crossed):
            return False
        if call.phase and call.first != call.second:
            way = ways.setdefault(call.phase, [True, True])
            way[0], way[1] = way[0] and straight, way[1] and crossed
    return all(any(way) for way in ways.values())
