"""Places of the human genome in the builds GRCh37 and GRCh38: names of chromosomes, and alleles over a site's window.

A VCF, an HGVS expression and a MolecularSequence name the same variant in different words; here they meet. Accession
numbers are those of the Genome Reference Consortium's assemblies at NCBI (GCF_000001405.25 and .40).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.domain.record import Site

Build = Literal["GRCh37", "GRCh38"]
LONGEST: Final = 200  # bases of an allele that is looked at
_NAMES = [str(number) for number in range(1, 23)] + ["X", "Y"]
_LENGTHS_38 = (
    248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636, 138394717, 133797422,
    135086622, 133275309, 114364328, 107043718, 101991189, 90338345, 83257441, 80373285, 58617616, 64444167, 46709983,
    50818468, 156040895, 57227415,
)  # fmt: skip
_LENGTHS_37 = (
    249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022, 141213431, 135534747,
    135006516, 133851895, 115169878, 107349540, 102531392, 90354753, 81195210, 78077248, 59128983, 63025520, 48129895,
    51304566, 155270560, 59373566,
)  # fmt: skip
_VERSIONS_38 = (11, 12, 12, 12, 10, 12, 14, 11, 12, 11, 10, 12, 11, 9, 10, 10, 11, 10, 10, 11, 9, 11, 11, 10)
_ACCESSION = re.compile(r"NC_0{4}(\d\d)\.(\d{1,2})")
_BUILDS: Mapping[str, Build] = {
    "grch38": "GRCh38", "hg38": "GRCh38", "hs38": "GRCh38", "la26806-2": "GRCh38",
    "grch37": "GRCh37", "hg19": "GRCh37", "b37": "GRCh37", "hs37d5": "GRCh37", "la14029-5": "GRCh37",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a site lies in one build: `reference` from `start` to `end`, both counted."""

    site: Site
    start: int
    end: int
    reference: str

    @property
    def is_snv(self) -> bool:
        return len(self.reference) == 1 and all(len(letter) == 1 for letter in self.site.letters)


def chromosome(name: str) -> str:
    """`chr7`, `7` and `NC_000007.14` are 7; what is none of the 24 is empty."""
    found = _ACCESSION.fullmatch(name)
    if found:
        number = int(found[1])
        return _NAMES[number - 1] if 1 <= number <= len(_NAMES) else ""
    plain = name.lower().removeprefix("chr").upper()
    return plain if plain in _NAMES else ""


def build_of_accession(name: str) -> Build | None:
    """A chromosome's accession names the build by its version; the older build's is one less."""
    found, own = _ACCESSION.fullmatch(name), chromosome(name)
    if not found or not own:
        return None
    newest = _VERSIONS_38[_NAMES.index(own)]
    return {newest: "GRCh38", newest - 1: "GRCh37"}.get(int(found[2]))  # type: ignore[return-value]


def build_of_length(name: str, length: int) -> Build | None:
    own = chromosome(name)
    if not own:
        return None
    place = _NAMES.index(own)
    return {_LENGTHS_38[place]: "GRCh38", _LENGTHS_37[place]: "GRCh37"}.get(length)  # type: ignore[return-value]


def build_of_text(text: str) -> Build | None:
    """By a word in a text, where it names one build only."""
    found = {build for word, build in _BUILDS.items() if word in text.lower()}
    return found.pop() if len(found) == 1 else None


def places(sites: Iterable[Site], build: Build) -> dict[str, list[Place]]:
    """By chromosome, in order."""
    found: dict[str, list[Place]] = {}
    for site in sites:
        old = build == "GRCh37"
        start, reference = (site.position_37, site.reference_37) if old else (site.position_38, site.reference_38)
        found.setdefault(site.chromosome, []).append(Place(site, start, start + len(reference) - 1, reference))
    for listed in found.values():
        listed.sort(key=lambda place: place.start)
    return found


def over_window(place: Place, position: int, reference: str, alternate: str) -> str | None:
    """The allele over the site's window where a variant says `reference` to `alternate`; None: cannot be told."""
    ends = position + len(reference) - 1
    if len(reference) == len(alternate) and position <= place.start and place.end <= ends:
        offset = place.start - position
        return alternate[offset : offset + len(place.reference)]
    if position != place.start:
        return None
    if place.reference.startswith(reference):
        whole = alternate + place.reference[len(reference) :]
    elif reference.startswith(place.reference) and alternate.endswith(reference[len(place.reference) :]):
        whole = alternate[: len(alternate) - len(reference) + len(place.reference)]
    else:
        whole = ""
    if whole in place.site.letters:
        return whole
    # an indel that is anchored at a single base leaves that base as it is
    return alternate[:1] if place.is_snv and reference[:1] == alternate[:1] else None
