"""Single variants that a laboratory reports, as genotypes at sites: Variant Observations and MolecularSequence.

A Variant (Genomics Reporting STU2, LOINC 69548-6) says where and what by dbSNP id, HGVS on a chromosome, or position
and bases, whether it is present, and on one or both copies. R4's MolecularSequence has no allelic state: it counts
together with the Observation that it points to, or that derives from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from gateway.domain.record import Site, SiteCall
from gateway.flow.record.concept import dicts, loinc_codes, written
from gateway.flow.record.genome_files import OBSERVED, Heard
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
_STATE, _DBSNP, _HGVS, _SEQUENCE, _BUILD = "53034-5", "81255-2", "81290-9", "48013-7", "62374-4"
_START, _REFERENCE, _ALTERNATE, _COUNTING = "81254-5", "69547-8", "69551-0", "92822-6"
_COPIES: Final = {"LA6706-1": 1, "heterozygous": 1, "LA6705-3": 2, "homozygous": 2}
_PRESENCE: Final = {"LA9633-4": True, "present": True, "LA9634-2": False, "absent": False}
_FROM_ZERO: Final = ("LA30100-4", "LA30101-2")
_NUMBER = re.compile(r"rs[0-9]{1,12}")
_CHANGE = re.compile(r"(NC_0{4}\d\d\.\d{1,2}):g\.(\d{1,9})([ACGT])>([ACGT])")
MOST_VARIANTS: Final = 2000  # variants that are looked at
CUT: Final = f"more than {MOST_VARIANTS} single variants are told, and the others were not read"
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


@dataclass(frozen=True)
class _Placed:
    """A variant at a site, as the site lies in the variant's build; `letter` empty: what it is cannot be told."""

    told: _Told
    place: Place
    letter: str


def variants(resources: Sequence[Resource], sites: Sequence[Site]) -> list[Heard]:
    """What is told about each site; several variants of one site are put together."""
    known = {build: places(sites, build) for build in ("GRCh37", "GRCh38")}
    by_name = {one.site.name: one for listed in known["GRCh38"].values() for one in listed}
    at: dict[str, list[_Placed]] = {}
    listed = list(islice(_told(resources), MOST_VARIANTS + 1))
    for told in listed[:MOST_VARIANTS]:
        found = _by_position(told, known) or _by_number(told, by_name)
        if found is not None:
            at.setdefault(found.place.site.name, []).append(found)
    cut = [Heard(one.source, unread=CUT) for one in listed[MOST_VARIANTS:]]
    return cut + [_heard(name, placed) for name, placed in sorted(at.items())]


def _heard(name: str, listed: list[_Placed]) -> Heard:
    source = listed[0].told.source
    if any(one.told.copies is None for one in listed):
        return Heard(source, doubtful=(name,), unread=f"a variant at {name} is told without its allelic state")
    copies: dict[str, set[int | None]] = {}
    for one in listed:
        copies.setdefault(one.letter, set()).add(one.told.copies)
    references = {one.place.reference for one in listed}
    if "" in copies or len(references) > 1 or any(len(told) > 1 for told in copies.values()):
        return Heard(source, doubtful=(name,))
    letters = _letters(listed[0].place, {letter: told.pop() or 0 for letter, told in copies.items()})
    return Heard(source, (SiteCall(name, *letters),)) if letters else Heard(source, doubtful=(name,))


def _letters(place: Place, copies: Mapping[str, int]) -> tuple[str, str] | None:
    """Both copies. One copy of a variant leaves the reference, unless the other is told too; absent leaves what is
    not excluded."""
    present = [letter for letter, count in copies.items() for _ in range(count)]
    others = set(place.site.letters) - {place.reference}
    if not present:
        return (place.reference, place.reference) if others <= copies.keys() else None
    if len(present) == 1 and present[0] != place.reference:
        return place.reference, present[0]
    return (present[0], present[1]) if len(present) == 2 else None


def _by_position(told: _Told, known: Mapping[str, Mapping[str, list[Place]]]) -> _Placed | None:
    if told.build is None or not (told.position and told.reference and told.alternate):
        return None
    for place in known[told.build].get(told.chromosome, ()):
        if place.start <= told.position <= place.end:
            fits = over_window(place, told.position, told.reference, told.reference) == place.reference
            letter = over_window(place, told.position, told.reference, told.alternate) if fits else None
            return _Placed(told, place, letter or "")
    return None


def _by_number(told: _Told, by_name: Mapping[str, Place]) -> _Placed | None:
    """Without a position the variant base says which one it is; where it is not given, the only one there is."""
    place = by_name.get(told.dbsnp)
    if place is None:
        return None
    others = [letter for letter in place.site.letters if letter != place.reference]
    is_same = place.site.reference_37 == place.site.reference_38
    if not told.alternate:
        return _Placed(told, place, others[0] if len(others) == 1 and is_same else "")
    return _Placed(told, place, told.alternate if told.alternate in others else "")


def _told(resources: Sequence[Resource]) -> Iterator[_Told]:
    observed = {f"Observation/{one.get('id')}": one for one in resources if _is_variant(one)}
    derived: dict[str, list[str]] = {}  # names of Observations by what they derive from
    for name, one in observed.items():
        for source in dict.fromkeys(_references(one.get("derivedFrom"))):
            derived.setdefault(source, []).append(name)
    pointed: set[str] = set()
    for one in resources:
        if one.get("resourceType") == "MolecularSequence":
            for name, told in _of_sequence(one, observed, derived):
                pointed.add(name)
                yield told
    for name, one in observed.items():
        told = _observed(one)
        if name not in pointed or told.position or told.dbsnp:
            yield told


def _is_variant(one: Resource) -> bool:
    if one.get("resourceType") != "Observation" or one.get("status") not in OBSERVED:
        return False
    return VARIANT in loinc_codes(one.get("code"))


def _observed(one: Resource) -> _Told:
    parts: dict[str, Mapping[str, Any]] = {}
    for part in dicts(one.get("component"))[:_MOST_OF_ONE]:
        parts |= {code: part for code in loinc_codes(part.get("code"))}
    made = _Told(f"Observation/{one.get('id')}", _copies(one, parts))
    dbsnp = next(filter(_NUMBER.fullmatch, _said(parts.get(_DBSNP))), "")
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
    sequence = _sequence(_said(parts.get(_SEQUENCE)))
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


def _of_sequence(
    one: Resource, observed: Mapping[str, Resource], derived: Mapping[str, list[str]]
) -> Iterator[tuple[str, _Told]]:
    """Each variant with the name of the Observation that tells its allelic state."""
    told_of = one.get("referenceSeq")
    if not isinstance(told_of, Mapping) or one.get("type", "dna") != "dna":
        return
    accession = _sequence(written(told_of.get("referenceSeqId")))
    own = chromosome(accession) or next(filter(None, map(chromosome, written(told_of.get("chromosome")))), "")
    build = build_of_accession(accession) or build_of_text(str(told_of.get("genomeBuild", "")))
    shift = 1 if one.get("coordinateSystem") == 0 else 0
    source = f"MolecularSequence/{one.get('id')}"
    own_states = derived.get(source, [])
    listed = dicts(one.get("variant"))[:_MOST_OF_ONE]
    for each in listed:
        start = each.get("start")
        if not own or build is None or not isinstance(start, int):
            continue
        pointer = next(iter(_references([each.get("variantPointer")])), "")
        name = pointer if pointer in observed else (own_states[0] if len(listed) == len(own_states) == 1 else "")
        copies = _observed(observed[name]).copies if name else None
        letters = (str(each.get(key, "")).upper() for key in ("referenceAllele", "observedAllele"))
        reference, alternate = letters
        yield name, _Told(source, copies, "", build, own, start + shift, reference[:LONGEST], alternate[:LONGEST])


def _sequence(names: Sequence[str]) -> str:
    """The name of a chromosome: an accession, which tells the build too, before any other."""
    return next(filter(build_of_accession, names), next(filter(chromosome, names), ""))


def _references(listed: Any) -> list[str]:
    return [str(one.get("reference")) for one in dicts(listed)]


def _said(part: Mapping[str, Any] | None) -> list[str]:
    """Codes, displays and text of a value, as written and, for words, in lower case."""
    if part is None:
        return []
    texts = (*written(part.get("valueCodeableConcept")), str(part.get("valueString") or ""))
    return [one for text in texts if text for one in (text, text.lower())]


def _bases(part: Mapping[str, Any] | None) -> str:
    return next((one.upper()[:LONGEST] for one in _said(part) if set(one.upper()) <= set("ACGT")), "")


def _number(part: Mapping[str, Any] | None) -> int:
    said = part or {}
    inside = said.get("valueRange")
    low = inside.get("low") if isinstance(inside, Mapping) else None
    value = low.get("value") if isinstance(low, Mapping) else said.get("valueInteger")
    return int(value) if isinstance(value, int | float) and 0 < value < 1 << 30 else 0
