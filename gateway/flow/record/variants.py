"""Single variants that a laboratory reports, as genotypes at sites: Variant Observations and MolecularSequence.

A Variant (Genomics Reporting STU2, LOINC 69548-6) says where and what by dbSNP id, HGVS on a chromosome, or position
and bases, whether it is present, and on one or both copies. R4's MolecularSequence has no allelic state: it counts
together with the Observation that it points to, or that derives from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.domain.record import Site, SiteCall
from gateway.flow.record.genome_files import Heard, dicts
from gateway.formats.genome import (
    LONGEST,
    Build,
    Place,
    build_of_accession,
    build_of_text,
    chromosome,
    over_window,
    places,
)

Resource = Mapping[str, Any]
VARIANT: Final = "69548-6"
_LOINC: Final = "http://loinc.org"
_STATE, _DBSNP, _HGVS, _SEQUENCE, _BUILD = "53034-5", "81255-2", "81290-9", "48013-7", "62374-4"
_START, _REFERENCE, _ALTERNATE, _COUNTING = "81254-5", "69547-8", "69551-0", "92822-6"
_COPIES: Final = {"LA6706-1": 1, "heterozygous": 1, "LA6705-3": 2, "homozygous": 2}
_PRESENCE: Final = {"LA9633-4": True, "present": True, "LA9634-2": False, "absent": False}
_FROM_ZERO: Final = ("LA30100-4", "LA30101-2")
_CHANGE = re.compile(r"(NC_0{4}\d\d\.\d{1,2}):g\.(\d{1,9})([ACGT])>([ACGT])")
_FINAL: Final = ("final", "amended", "corrected")
_MOST: Final = 2000  # variants that are looked at
_MOST_OF_ONE: Final = 512


@dataclass(frozen=True)
class _Told:
    """One variant as it was told. `copies` None: not said, 0: absent."""

    source: str
    copies: int | None
    dbsnp: str = ""
    build: Build | None = None
    chromosome: str = ""
    position: int = 0
    reference: str = ""
    alternate: str = ""


def variants(resources: Sequence[Resource], sites: Sequence[Site]) -> list[Heard]:
    """What is told about each site; several variants of one site are put together."""
    known = {build: places(sites, build) for build in ("GRCh37", "GRCh38")}
    by_name = {one.site.name: one for listed in known["GRCh38"].values() for one in listed}
    at: dict[str, list[tuple[_Told, str]]] = {}
    for told in list(_told(resources))[:_MOST]:
        found = _placed(told, known, by_name)
        if found is not None:
            at.setdefault(found[0].site.name, []).append((told, found[1]))
    return [_heard(by_name[name], listed) for name, listed in sorted(at.items())]


def _heard(place: Place, listed: list[tuple[_Told, str]]) -> Heard:
    site, name = place.site, place.site.name
    source = listed[0][0].source
    present = {letter: told.copies for told, letter in listed if told.copies != 0}
    absent = {letter for told, letter in listed if told.copies == 0}
    if None in present.values():
        return Heard(source, doubtful=(name,), unread=f"a variant at {name} is told without its allelic state")
    if present.keys() & absent:
        return Heard(source, doubtful=(name,))
    if not present:
        others = set(site.letters) - {place.reference}
        whole = (SiteCall(name, place.reference, place.reference),) if others <= absent else ()
        return Heard(source, whole, () if whole else (name,))
    letters = [letter for letter, copies in present.items() for _ in range(copies or 0)]
    letters += [place.reference] * (2 - len(letters))
    if len(letters) != 2:
        return Heard(source, doubtful=(name,))
    return Heard(source, (SiteCall(name, letters[0], letters[1]),))


def _placed(
    told: _Told, known: Mapping[str, Mapping[str, list[Place]]], by_name: Mapping[str, Place]
) -> tuple[Place, str] | None:
    """The site, as it lies in GRCh38, and the sequence over its window; None for a variant of no site."""
    if told.build is not None and told.position and told.reference and told.alternate:
        for place in known[told.build].get(told.chromosome, ()):
            if place.start <= told.position <= place.end:
                letter = over_window(place, told.position, told.reference, told.alternate)
                return (by_name[place.site.name], letter) if letter is not None else None
    place_38 = by_name.get(told.dbsnp)
    if place_38 is None:
        return None
    others = [letter for letter in place_38.site.letters if letter != place_38.reference]
    if told.alternate in others or len(others) == 1:
        return place_38, told.alternate if told.alternate in others else others[0]
    return None


def _told(resources: Sequence[Resource]) -> Iterator[_Told]:
    observed = {f"Observation/{one.get('id')}": one for one in resources if _is_variant(one)}
    pointed: set[str] = set()
    for one in resources:
        if one.get("resourceType") == "MolecularSequence":
            for name, told in _of_sequence(one, observed):
                pointed.add(name)
                yield told
    for name, one in observed.items():
        if name not in pointed or _observed(one).position or _observed(one).dbsnp:
            yield _observed(one)


def _is_variant(one: Resource) -> bool:
    if one.get("resourceType") != "Observation" or one.get("status") not in _FINAL:
        return False
    return VARIANT in _codes(one.get("code"))


def _observed(one: Resource) -> _Told:
    parts: dict[str, Mapping[str, Any]] = {}
    for part in dicts(one.get("component"))[:_MOST_OF_ONE]:
        parts |= {code: part for code in _codes(part.get("code"))}
    made = _Told(f"Observation/{one.get('id')}", _copies(one, parts))
    dbsnp = next((code for code in _said(parts.get(_DBSNP)) if code.startswith("rs")), "")
    alternate = _bases(parts.get(_ALTERNATE))
    made = replace(made, dbsnp=dbsnp, alternate=alternate)
    for code in _said(parts.get(_HGVS)):
        found = _CHANGE.fullmatch(code)
        build = build_of_accession(found[1]) if found else None
        if found and build:
            return replace(
                made,
                build=build,
                chromosome=chromosome(found[1]),
                position=int(found[2]),
                reference=found[3],
                alternate=found[4],
            )
    sequence = next((code for code in _said(parts.get(_SEQUENCE)) if chromosome(code)), "")
    build = build_of_accession(sequence) or build_of_text(" ".join(_said(parts.get(_BUILD))))
    start = _number(parts.get(_START))
    if not sequence or build is None or not start:
        return made
    shift = 1 if set(_said(parts.get(_COUNTING))) & set(_FROM_ZERO) else 0
    return replace(
        made,
        build=build,
        chromosome=chromosome(sequence),
        position=start + shift,
        reference=_bases(parts.get(_REFERENCE)),
    )


def _copies(one: Resource, parts: Mapping[str, Mapping[str, Any]]) -> int | None:
    present = next((_PRESENCE[word] for word in _said(one) if word in _PRESENCE), None)
    if present is False:
        return 0
    stated = next((_COPIES[word] for word in _said(parts.get(_STATE)) if word in _COPIES), None)
    return stated if present else None


def _of_sequence(one: Resource, observed: Mapping[str, Resource]) -> Iterator[tuple[str, _Told]]:
    """Each variant with the name of the Observation that tells its allelic state."""
    told_of = one.get("referenceSeq")
    if not isinstance(told_of, Mapping) or one.get("type", "dna") != "dna":
        return
    accession = next((code for code in _said({"valueCodeableConcept": told_of.get("referenceSeqId")})), "")
    own = chromosome(accession) or next(filter(None, map(chromosome, _concept(told_of.get("chromosome")))), "")
    build = build_of_accession(accession) or build_of_text(str(told_of.get("genomeBuild", "")))
    shift = 1 if one.get("coordinateSystem") == 0 else 0
    source = f"MolecularSequence/{one.get('id')}"
    derived = [name for name, each in observed.items() if source in _references(each.get("derivedFrom"))]
    listed = dicts(one.get("variant"))[:_MOST_OF_ONE]
    for each in listed:
        start = each.get("start")
        if not own or build is None or not isinstance(start, int):
            continue
        pointer = next(iter(_references([each.get("variantPointer")])), "")
        name = pointer if pointer in observed else (derived[0] if len(listed) == len(derived) == 1 else "")
        copies = _observed(observed[name]).copies if name else None
        letters = (str(each.get(key, "")).upper() for key in ("referenceAllele", "observedAllele"))
        reference, alternate = letters
        yield name, _Told(source, copies, "", build, own, start + shift, reference[:LONGEST], alternate[:LONGEST])


def _references(listed: Any) -> list[str]:
    return [str(one.get("reference")) for one in dicts(listed)]


def _codes(concept: Any) -> set[str]:
    codings = dicts(concept.get("coding")) if isinstance(concept, Mapping) else []
    return {str(one.get("code")) for one in codings if one.get("system") == _LOINC}


def _said(part: Mapping[str, Any] | None) -> list[str]:
    """Codes, displays and text of a value, as written and, for words, in lower case."""
    if part is None:
        return []
    texts = (*_concept(part.get("valueCodeableConcept")), str(part.get("valueString") or ""))
    return [one for text in texts if text for one in (text, text.lower())]


def _concept(concept: Any) -> list[str]:
    if not isinstance(concept, Mapping):
        return []
    codings = dicts(concept.get("coding"))[:64]
    return [
        str(one).strip()
        for one in (*(c.get(k) for c in codings for k in ("code", "display")), concept.get("text"))
        if one
    ]


def _bases(part: Mapping[str, Any] | None) -> str:
    return next((one.upper()[:LONGEST] for one in _said(part) if set(one.upper()) <= set("ACGT")), "")


def _number(part: Mapping[str, Any] | None) -> int:
    said = part or {}
    inside = said.get("valueRange")
    low = inside.get("low") if isinstance(inside, Mapping) else None
    value = low.get("value") if isinstance(low, Mapping) else said.get("valueInteger")
    return int(value) if isinstance(value, int | float) and 0 < value < 1 << 30 else 0
