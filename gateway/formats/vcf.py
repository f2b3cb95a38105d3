"""A VCF of one person (VCFv4.x, samtools/hts-specs) to what it confidently says at the sites that a model asks for.

A site that the file does not mention is not known: it is the reference only where a record or a gVCF block says so
with confidence. Filtered, doubtful, contradictory and partly covered sites count as not known. Nothing of a
file but letters at known sites is passed on; `vcf_lines.py` bounds its bytes, ratio and lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.record import Site, SiteCall
from gateway.formats.genome import (
    LONGEST,
    Build,
    Place,
    build_of_length,
    build_of_text,
    chromosome,
    over_window,
    places,
)
from gateway.formats.vcf_lines import LONGEST_LINE, text_lines

MOST_NAMES: Final = 10_000  # of contigs that are remembered
LEAST_QUALITY: Final = 20  # of a genotype (GQ, RGQ): one error in a hundred
NEAR: Final = 25  # bases beside an insertion or deletion within which another one may be the same, written differently
_PASSED = frozenset({"PASS", "."})
_ALLELE_LETTERS = frozenset("ACGTN")
_NO_VARIANT = frozenset({".", "<NON_REF>", "<*>", "<X>"})  # as ALT: what is said holds for any other allele


@dataclass(frozen=True)
class Read:
    """What a file says. `doubtful` are the sites that it mentions without confidence."""

    build: Build
    calls: tuple[SiteCall, ...]
    doubtful: tuple[str, ...]


@dataclass(frozen=True)
class _Record:
    """One line: alleles called of the only sample, and how they are phased (None: they are not). `spells_indel`: an
    insertion or deletion at its first base was looked for."""

    chromosome: str
    start: int
    end: int
    reference: str
    alleles: tuple[str, ...]  # the two that were called, as sequences; empty: no confident call
    is_reference: bool
    phase: str | None
    spells_indel: bool


def read_vcf(content: bytes, sites: Sequence[Site]) -> Read:
    """Invalid for what is no VCF or is too large, Unsupported for several samples or an unknown build."""
    lines = text_lines(content)
    build = _header(lines)
    near, found = _Near(places(sites, build)), _Found(build)
    for line in lines:
        if line and not line.startswith(b"#"):
            _note(line, near, found)
    found.finish()
    return Read(build, tuple(found.calls.values()), tuple(sorted(found.doubtful)))


@dataclass
class _Near:
    """The places of sites by the name of a chromosome as the file writes it."""

    known: dict[str, list[Place]]
    longest: int = 0
    _by_name: dict[bytes, list[Place]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.longest = max((len(one.reference) for listed in self.known.values() for one in listed), default=0)

    def listed(self, name: bytes) -> list[Place]:
        found = self._by_name.get(name)
        if found is None:
            found = self.known.get(chromosome(name.decode("ascii", "replace")), [])
            if len(self._by_name) < MOST_NAMES:
                self._by_name[name] = found
        return found


@dataclass
class _Found:
    build: Build
    calls: dict[str, SiteCall] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    phases: dict[tuple[str, str], int] = field(default_factory=dict)
    covered: dict[str, tuple[Place, int]] = field(default_factory=dict)  # a bit for each base said to be the reference

    def phase(self, chromosome_: str, name: str | None) -> int:
        return 0 if name is None else self.phases.setdefault((chromosome_, name), len(self.phases) + 1)

    def doubt(self, site: str) -> None:
        self.doubtful.add(site)
        self.calls.pop(site, None)

    def call(self, made: SiteCall) -> None:
        """A second line about a site that says something else makes it doubtful; of the phase alone, unphased."""
        was = self.calls.get(made.site)
        if made.site in self.doubtful or (was is not None and {was.first, was.second} != {made.first, made.second}):
            self.doubt(made.site)
        elif was is None:
            self.calls[made.site] = made
        elif was.first != was.second and (was.phase, was.first) != (made.phase, made.first):
            self.calls[made.site] = SiteCall(was.site, was.first, was.second)

    def cover(self, place: Place, start: int, end: int) -> None:
        """Reference from `start` to `end`; a call once the whole window is covered, by however many lines."""
        name = place.site.name
        low, high = max(start, place.start) - place.start, min(end, place.end) - place.start
        bits = self.covered.get(name, (place, 0))[1] | (1 << high + 1) - (1 << low)
        self.covered[name] = (place, bits)
        if bits == (1 << len(place.reference)) - 1:
            self.call(SiteCall(name, place.reference, place.reference))

    def finish(self) -> None:
        """A window that is covered in part is in doubt, unless its variant was called and lacks no covered base."""
        for name, (place, bits) in self.covered.items():
            was, is_part = self.calls.get(name), bits != (1 << len(place.reference)) - 1
            lacks = was is not None and bits >> 1 and min(len(was.first), len(was.second)) < len(place.reference)
            if is_part and (was is None or lacks):
                self.doubt(name)


def _header(lines: Iterator[bytes]) -> Build:
    """Reads as far as the line of columns; the build by lengths of contigs, else by the words for the reference."""
    if not next(lines, b"").startswith(b"##fileformat=VCFv4."):
        raise Invalid("not a VCF of version 4")
    by_length: set[Build] = set()
    by_word: set[Build] = set()
    for line in lines:
        if line.startswith(b"##contig="):
            by_length |= _of_contig(line)
        if line.startswith((b"##reference=", b"##contig=", b"##assembly=")):
            by_word |= {found for found in [build_of_text(line.decode("utf-8", "replace"))] if found}
        if line.startswith(b"#CHROM"):
            _one_sample(line)
            found = by_length or by_word
            if len(found) != 1:
                raise Unsupported("the VCF does not say whether its positions are of GRCh37 or of GRCh38")
            return found.pop()
        if not line.startswith(b"##"):
            break
    raise Invalid("the VCF has no line of columns")


def _of_contig(line: bytes) -> set[Build]:
    inside = line.decode("utf-8", "replace").partition("<")[2].rstrip(">")
    told = dict(part.partition("=")[::2] for part in inside.split(","))
    length = told.get("length", "")
    found = build_of_length(told.get("ID", ""), int(length)) if length.isdecimal() and len(length) < 12 else None
    return {found} if found else set()


def _one_sample(line: bytes) -> None:
    samples = len(line.split(b"\t")) - 9
    if samples != 1:
        raise Unsupported(f"the VCF must hold the genotypes of one sample, and holds {max(samples, 0)}")


def _note(line: bytes, near: _Near, found: _Found) -> None:
    """What one line says about the sites that it touches; most lines of a file are nowhere near one."""
    head = line.split(b"\t", 4)
    listed = near.listed(head[0])
    if not listed or len(head) < 5 or not head[1].isdigit() or len(head[1]) > 10:
        return
    start = int(head[1])
    last = start + len(head[3]) - 1
    if b"END=" in head[4]:
        last = max(last, _end(line, start))
    at = bisect_left(listed, start - NEAR - near.longest, key=_start)
    if at == len(listed) or listed[at].start > last + NEAR:
        return
    columns = [one.decode("ascii", "replace") for one in line.split(b"\t")]
    if len(columns) != 10:
        raise Invalid("a line of the VCF has not ten columns")
    record = _record(listed[0].site.chromosome, start, last, columns)
    while record is not None and at < len(listed) and listed[at].start <= last + NEAR:
        _at_site(record, listed[at], found)
        at += 1


def _start(place: Place) -> int:
    return place.start


def _record(own: str, start: int, end: int, columns: list[str]) -> _Record | None:
    reference, alternates = columns[3].upper(), columns[4].upper().split(",")
    if not reference or len(reference) > LONGEST_LINE or set(reference) - _ALLELE_LETTERS:
        return None
    sample = dict(zip(columns[8].split(":"), columns[9].split(":"), strict=False))
    written = sample.get("GT", "")
    places_called = written.replace("|", "/").split("/")
    sequences = (reference, *alternates)
    called = [int(one) for one in places_called if one.isdecimal() and len(one) < 4]
    is_call = len(called) == len(places_called) == 2 and max(called) < len(sequences)
    is_reference = is_call and not any(called)
    if is_reference and _is_structural(alternates, end >= start + len(reference)):
        return None
    confident = is_call and _passed(columns[6], is_reference) and _good(sample)
    phase = sample.get("PS", "") if "|" in written else None
    alleles = tuple(sequences[one] for one in called) if confident else ()
    spells_indel = any(len(one) != len(reference) and not set(one) - _ALLELE_LETTERS for one in alternates)
    return _Record(own, start, end, reference, alleles, is_reference, phase, spells_indel)


def _is_structural(alternates: Sequence[str], is_long: bool) -> bool:
    """Whether `0/0` denies a structural variant alone, and says nothing about the bases that it spans."""
    others = [one for one in alternates if one not in _NO_VARIANT]
    return bool(others) and (is_long or any(set(one) & set("<[]") for one in others))


def _end(line: bytes, start: int) -> int:
    """Of a block of a gVCF, or of a structural variant."""
    columns = line.split(b"\t", 8)
    for part in columns[7].split(b";") if len(columns) > 7 else ():
        if part.startswith(b"END=") and part[4:].isdigit() and len(part) < 15:
            return int(part[4:])
    return start


def _passed(filters: str, is_reference: bool) -> bool:
    return filters in _PASSED or (is_reference and filters == "RefCall")  # the word of DeepVariant


def _good(sample: dict[str, str]) -> bool:
    if sample.get("FT", "PASS") not in _PASSED:
        return False
    if sample.get("DP") == "0" or sample.get("MIN_DP") == "0":
        return False
    quality = [sample[key] for key in ("GQ", "RGQ") if sample.get(key, ".") != "."]
    try:
        return all(float(one) >= LEAST_QUALITY for one in quality)
    except ValueError:
        return False


def _at_site(record: _Record, place: Place, found: _Found) -> None:
    name = place.site.name
    touches = record.start <= place.end and place.start <= record.end
    if not touches:
        if _may_be_the_same(record, place):
            found.doubt(name)
        return
    if not record.alleles:
        found.doubt(name)
        return
    if record.is_reference:
        _at_reference(record, place, found)
        return
    letters = [_letter(record, place, one) for one in record.alleles]
    if None in letters:
        found.doubt(name)
        return
    first, second = (str(one) for one in letters)
    found.call(SiteCall(name, first, second, found.phase(record.chromosome, record.phase)))


def _at_reference(record: _Record, place: Place, found: _Found) -> None:
    """Covers what it spans; an indel that is denied at the first base says so of the whole window. Its bases must be
    those of the build."""
    shared = place.reference[: len(record.reference)]
    if record.start == place.start and not record.reference.startswith(shared):
        raise Invalid(f"the reference bases of the VCF are not those of {found.build}")
    is_whole = record.start == place.start and record.spells_indel
    found.cover(place, record.start, place.end if is_whole else record.end)


def _letter(record: _Record, place: Place, allele: str) -> str | None:
    if not allele or len(allele) > LONGEST or len(record.reference) > LONGEST or set(allele) - _ALLELE_LETTERS:
        return None
    if record.start == place.start and record.reference[:1] != place.reference[:1]:
        raise Invalid("the reference bases of the VCF are not those of the build that it names")
    return over_window(place, record.start, record.reference, allele)


def _may_be_the_same(record: _Record, place: Place) -> bool:
    """An insertion or deletion beside one that the tables know may be that one, aligned otherwise."""
    if place.is_snv or record.is_reference:
        return False
    return not record.alleles or any(len(allele) != len(record.reference) for allele in record.alleles)
