"""A research export: what was asked for, what of it may leave, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from gateway.domain.ids import StudyId
from gateway.domain.study import Instance, Study

Dates = Literal["removed", "shifted"]
LONGEST_TEXT = 200
MOST_STUDIES = 10_000
MOST_OBJECTS = 500_000


@dataclass(frozen=True)
class Selection:
    """Which studies: those named, or all that fit; days are those on which the study was received."""

    studies: tuple[StudyId, ...] = ()
    patients: tuple[str, ...] = ()
    modality: str = ""
    body_part: str = ""
    received_from: date | None = None
    received_to: date | None = None


@dataclass(frozen=True)
class ExportRequest:
    """`recipient` names the domain of the pseudonyms: the same recipient gets the same ones again."""

    selection: Selection
    recipient: str
    purpose: str
    k: int = 5
    dates: Dates = "removed"
    allow_unsearched_pixels: bool = False


@dataclass(frozen=True)
class ExportedStudy:
    """One study that leaves, with its objects and the values that groups are counted by."""

    study: Study
    instances: tuple[Instance, ...]
    age: str
    sex: str
    modality: str
    body_part: str
    year: str


@dataclass(frozen=True)
class ExportPlan:
    """What would leave, before anything is written; `withheld` counts objects by reason."""

    request: ExportRequest
    studies: tuple[ExportedStudy, ...]
    withheld: Mapping[str, int]
    band_years: int
    groups: int
    smallest_group: int

    @property
    def objects(self) -> int:
        return sum(len(one.instances) for one in self.studies)

    @property
    def patients(self) -> int:
        return len({one.study.patient for one in self.studies})


@dataclass(frozen=True)
class Exported:
    """An export that was made: profile, edition and methods (CID 7050 codes) of its cleaning, counts by action."""

    id: str
    plan: ExportPlan
    bytes: int
    profile: str
    edition: str
    methods: tuple[str, ...]
    counts: Mapping[str, int]
