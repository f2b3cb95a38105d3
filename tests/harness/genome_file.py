"""Made VCF files, and made resources that carry them: genotypes at the sites of the built-in allele definitions."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from harness.built_in import built_in

from gateway.domain.record import Site
from models.registry import load
from models.runtime.rules import RulesTable

HEADER_38: Final = ("##contig=<ID=chr1,length=248956422>", "##contig=<ID=chr10,length=133797422>")
HEADER_37: Final = ("##contig=<ID=1,length=249250621>", "##reference=file:///refs/human_g1k_v37.fasta")
COLUMNS: Final = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tQuillfeather_Zebulon"
Resource = dict[str, Any]


@cache
def rules() -> RulesTable:
    """The built-in tables."""
    table = load(built_in()["pgx-rules"])
    assert isinstance(table, RulesTable)
    return table


def vcf(lines: Iterable[str], header: Iterable[str] = HEADER_38) -> bytes:
    return ("\n".join(["##fileformat=VCFv4.2", *header, COLUMNS, *lines]) + "\n").encode()


def line(
    chromosome: str, position: int, reference: str, alternate: str, genotype: str, *, passed: str = "PASS",
    info: str = ".", told: str = "GT:GQ", quality: str = "99",
) -> str:  # fmt: skip
    sample = genotype if told == "GT" else f"{genotype}:{quality}"
    return "\t".join([f"chr{chromosome}", str(position), ".", reference, alternate, ".", passed, info, told, sample])


def at_site(site: Site, first: str, second: str, *, build: int = 38, phased: bool = False) -> str:
    """One line for a genotype at a site, the reference included, over the whole window."""
    position, reference = (
        (site.position_38, site.reference_38) if build == 38 else (site.position_37, site.reference_37)
    )
    others = [one for one in dict.fromkeys((first, second)) if one != reference]
    letters = [reference, *others]
    between = "|" if phased else "/"
    genotype = f"{letters.index(first)}{between}{letters.index(second)}"
    return line(site.chromosome, position, reference, ",".join(others) or ".", genotype)


def of_pair(
    gene: str, first: str, second: str, *, build: int = 38, phased: bool = False, without: Iterable[str] = ()
) -> list[str]:
    """Lines for a pair of named alleles at every site of the gene but those left out."""
    told = rules().alleles[gene]
    pairs = zip(told.sites, told.alleles[first], told.alleles[second], strict=True)
    reference = "reference_38" if build == 38 else "reference_37"

    def letter(letters: frozenset[str], site: Site) -> str:
        own = getattr(site, reference)
        return own if own in letters else min(letters)

    return [
        at_site(site, letter(one, site), letter(other, site), build=build, phased=phased)
        for site, one, other in pairs
        if site.name not in set(without)
    ]


def document(content: bytes, kind: str = "text/vcf", own_id: str = "vcf", **changes: Any) -> Resource:
    """A DocumentReference (GenomicDataFile) that holds the file."""
    attachment = {"contentType": kind, "data": base64.b64encode(content).decode(), "title": "panel.vcf.gz"}
    return {
        "resourceType": "DocumentReference",
        "id": own_id,
        "status": "current",
        "subject": {"reference": "Patient/p1"},
        "date": "2026-11-20T08:00:00Z",
        "content": [{"attachment": attachment}],
        **changes,
    }


def zipped(content: bytes) -> bytes:
    """Two gzip members, as bgzip writes many."""
    half = len(content) // 2
    return gzip.compress(content[:half]) + gzip.compress(content[half:])


def variant(own_id: str, parts: Mapping[str, Any], present: str = "LA9633-4", **changes: Any) -> Resource:
    """A Variant Observation; a part is a text, a number (exact start) or a code."""
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": _loinc("69548-6"),
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-20T08:00:00Z",
        "valueCodeableConcept": _loinc(present),
        "component": [{"code": _loinc(code), **_value(value)} for code, value in parts.items()],
        **changes,
    }


def _value(value: Any) -> Resource:
    if isinstance(value, int):
        return {"valueRange": {"low": {"value": value}}}
    if set(value) <= set("ACGT"):
        return {"valueString": value}
    return {"valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": value}]}}


def _loinc(code: str) -> Resource:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}
