"""Allele definitions for calling from variants, from pypgx's allele and variant tables, compared with PharmCAT's.

The tables list for each named allele the variants that differ from a build's own sequence. In the build whose sequence
is the reference allele, an allele is that sequence with its variants; what is left out is the reference there. Genes
whose alleles small variants do not show (CYP2D6), and those that are not diploid in everybody (G6PD, MT-RNR1), are not
called.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

CALLED: Final = (
    "ABCG2", "CACNA1S", "CFTR", "CYP2B6", "CYP2C19", "CYP2C9", "CYP3A5", "DPYD", "F5", "IFNL3", "NUDT15", "RYR1",
    "SLCO1B1", "TPMT", "UGT1A1",
)  # fmt: skip
EITHER: Final = {
    ("CYP2B6", "*18"): ("41009358",),
    ("CYP2C19", "*2"): ("94775507",),
    ("CYP2C19", "*4"): ("94761900",),
    ("CYP2C19", "*16"): ("94842866",),
    ("CYP2C19", "*30"): ("94842866",),
    ("CYP2C19", "*34"): ("94842866",),
    ("CYP2C19", "*35"): ("94762760",),
    ("CYP2C9", "*36"): ("94981301",),
}
"""Sites (GRCh38) at which CPIC's allele definition tables let an allele have either base, or tabulations disagree."""
TO_THE_LEFT: Final = {"10-94942210-GAAAGAAATGG-G": (5, "CAATGGAAAGA", "C")}
"""Deletions that the tables do not write at their leftmost place, as a VCF does: bases to the left, and how there."""
Row = dict[str, str]
Variant = tuple[str, int, int, str, str, str]  # rsID, position in 37 and 38, reference in 37 and 38, alternate


def definitions(folder: Path) -> dict[str, Any]:
    """`alleles` of `rules.json`: sites, the reference's letters, and for each allele where it differs."""
    genes, alleles, variants = (_read(folder, name) for name in ("gene", "allele", "variant"))
    by_gene = {row["Gene"]: row for row in genes}
    return {
        gene: _gene(
            by_gene[gene],
            [row for row in alleles if row["Gene"] == gene],
            [row for row in variants if row["Gene"] == gene],
        )
        for gene in CALLED
    }


def _read(folder: Path, name: str) -> list[Row]:
    with (folder / "pgx" / f"{name}-table.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _gene(gene: Row, alleles: list[Row], variants: list[Row]) -> dict[str, Any]:
    build = next(one for one in ("GRCh38", "GRCh37") if gene[f"{one}Default"] == gene["RefAllele"])
    found = {row[f"{build}Name"]: _variants(row) for row in variants}
    sites = _sites(gene["Gene"], [one for listed in found.values() for one in listed])
    base = [site["reference_38" if build == "GRCh38" else "reference_37"] for site in sites]
    at = {site["position_38"]: place for place, site in enumerate(sites)}
    seen = [row for row in alleles if row["SV"] == "FALSE"]
    told: dict[str, dict[str, list[str]]] = {}
    for row in seen:
        core = [] if row[f"{build}Core"] == "N/A" else row[f"{build}Core"].split(",")
        changes = {}
        for position, reference, alternate in [_own(v, build) for name in core for v in found[name]]:
            place = at[position]
            changes[str(place)] = [alternate + base[place][len(reference) :]]
        for position in EITHER.get((gene["Gene"], row["StarAllele"]), ()):
            place = at[int(position)]
            changes[str(place)] = list(sites[place]["letters"])
        told[row["StarAllele"]] = changes
    return {
        "sites": sites,
        "reference": base,
        "alleles": told,
        "unseen": [row["StarAllele"] for row in alleles if row["SV"] != "FALSE"],
    }


def _variants(row: Row) -> list[tuple[str, list[str], list[str]]]:
    """(rsID, name in GRCh37, name in GRCh38) as parts; the single bases that make up an indel where they are listed."""
    names = [(row["GRCh37Name"], row["GRCh38Name"])]
    synonyms = [row[f"{build}Synonym"].split(",") for build in ("GRCh37", "GRCh38")]
    if all(len(part.split("-")[2]) == len(part.split("-")[3]) for part in synonyms[1] if part != "N/A") and (
        synonyms[1] != ["N/A"]
    ):
        names = list(zip(*synonyms, strict=True))
    out = []
    for old, new in names:
        first, second = old.split("-"), new.split("-")
        if new in TO_THE_LEFT:
            steps, reference, alternate = TO_THE_LEFT[new]
            first = [first[0], str(int(first[1]) - steps), reference, alternate]
            second = [second[0], str(int(second[1]) - steps), reference, alternate]
        out.append(("" if row["rsID"] == "N/A" or len(names) > 1 else row["rsID"], first, second))
    return out


def _own(variant: tuple[str, list[str], list[str]], build: str) -> tuple[int, str, str]:
    """Position in GRCh38, and what `build` says becomes what."""
    _, old, new = variant
    said = new if build == "GRCh38" else old
    return int(new[1]), said[2], said[3]


def _sites(gene: str, variants: list[tuple[str, list[str], list[str]]]) -> list[dict[str, Any]]:
    """One for each position; the window is the longest reference there."""
    by_position: dict[int, list[tuple[str, list[str], list[str]]]] = {}
    for one in variants:
        by_position.setdefault(int(one[2][1]), []).append(one)
    sites = []
    for position, listed in sorted(by_position.items()):
        olds, news = max((one[1][2] for one in listed), key=len), max((one[2][2] for one in listed), key=len)
        letters = {olds, news}
        for _, old, new in listed:
            letters |= {old[3] + olds[len(old[2]) :], new[3] + news[len(new[2]) :]}
        names = {one[0] for one in listed if one[0]}
        chromosome = listed[0][2][0]
        sites.append(
            {
                "name": names.pop() if len(names) == 1 else f"{chromosome}-{position}",
                "chromosome": chromosome,
                "position_37": int(listed[0][1][1]),
                "reference_37": olds,
                "position_38": position,
                "reference_38": news,
                "letters": sorted(letters),
            }
        )
    if len({site["name"] for site in sites}) != len(sites):
        raise ValueError(f"{gene}: two sites of one name")
    return sites


def compared(made: dict[str, Any], folder: Path) -> dict[str, dict[str, int]]:
    """Against PharmCAT's definitions, where the gene is in both: alleles that say the same at every shared position."""
    out: dict[str, dict[str, int]] = {}
    for path in sorted((folder / "pgx" / "pharmcat").glob("*_translation.json")):
        theirs = json.loads(path.read_text(encoding="utf-8"))
        if theirs["gene"] in made:
            out[theirs["gene"]] = _compared(made[theirs["gene"]], theirs)
    return out


_AMBIGUOUS: Final = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}


def _compared(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, int]:
    counts: Counter[str] = Counter({"same": 0, "different": 0, "only here": 0, "only there": 0, "shared positions": 0})
    named = {one["name"]: one["alleles"] for one in theirs["namedAlleles"]}
    reference = next(one["alleles"] for one in theirs["namedAlleles"] if one.get("reference"))
    at = {site["position_38"]: place for place, site in enumerate(ours["sites"])}
    shared = [(place, at[v["position"]], v) for place, v in enumerate(theirs["variants"]) if v["position"] in at]
    counts["shared positions"] = len(shared)
    counts["only there"] = len(set(named) - set(ours["alleles"]))
    for name, changes in ours["alleles"].items():
        if name not in named:
            counts["only here"] += 1
            continue
        same = all(
            set(changes.get(str(own), [ours["reference"][own]])) >= _letters(named[name][place], reference[place], v)
            for place, own, v in shared
        )
        counts["same" if same else "different"] += 1
    return dict(counts)


def _letters(said: str | None, reference: str, variant: dict[str, Any]) -> set[str]:
    letter = reference if said is None else said
    return set(_AMBIGUOUS.get(letter, "")) or {variant["cpicToVcfAlleleMap"].get(letter, letter)}
