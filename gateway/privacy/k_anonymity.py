"""k-anonymity of an export: nobody stands out by what anybody may know of a patient (Sweeney 2002).

A record is one study with its quasi-identifiers; its group is all studies that share them. A group counts patients,
not studies, because ten studies of one person hide nobody. Ages are made coarser for the whole export before
anything is left out, so that one band width describes all of it. Alone it is weak against linkage (NIST SP 800-188):
it is a gate beside de-identification, not in its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.privacy.age_band import band

BANDS: Final = (5, 10)
"""Widths of age bands in years, the finest first."""


@dataclass(frozen=True)
class StudyRecord:
    """What is known of one study from its export; `year` is empty where dates are removed."""

    study: str
    patient: str
    age: str
    sex: str
    modality: str
    body_part: str
    year: str

    def group(self, years: int) -> tuple[str, ...]:
        """The quasi-identifiers, the age as a band of `years`."""
        return (band(self.age, years), self.sex, self.modality, self.body_part, self.year)


@dataclass(frozen=True)
class Anonymity:
    """Which studies stay, under which band; `smallest` is the least number of patients in a group that stays."""

    k: int
    band_years: int
    kept: frozenset[str]
    suppressed: frozenset[str]
    groups: int
    smallest: int


def anonymise(records: Sequence[StudyRecord], k: int) -> Anonymity:
    """The finest band that leaves nobody out; where there is none, the one that leaves out the fewest studies."""
    tried = [_under(records, k, years) for years in BANDS]
    return min(tried, key=lambda one: (len(one.suppressed), one.band_years))


def _under(records: Sequence[StudyRecord], k: int, years: int) -> Anonymity:
    groups = _grouped(records, years)
    sizes = [len({record.patient for record in group}) for group in groups]
    large = [group for group, size in zip(groups, sizes, strict=True) if size >= k]
    kept = frozenset(record.study for group in large for record in group)
    return Anonymity(
        k=k,
        band_years=years,
        kept=kept,
        suppressed=frozenset(record.study for record in records) - kept,
        groups=len(large),
        smallest=min((size for size in sizes if size >= k), default=0),
    )


def _grouped(records: Iterable[StudyRecord], years: int) -> list[list[StudyRecord]]:
    found: dict[tuple[str, ...], list[StudyRecord]] = defaultdict(list)
    for record in records:
        found[record.group(years)].append(record)
    return list(found.values())
