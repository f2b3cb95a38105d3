"""Compares what was sent with what is stored: which attributes went, which were replaced, and which stayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway import wiring
from gateway.config import Settings
from gateway.domain.study import Study
from gateway.ports import Database

# Values whose loss would not help and whose presence in pixels is chance: everything shorter is left out.
SHORTEST_VALUE = 6
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "IssuerOfPatientID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "InstitutionName",
    "StudyDate",
    "StudyID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)


@dataclass(frozen=True)
class Comparison:
    """Counts over all instances; `kept` names identifying attributes whose value is still in a stored object."""

    instances: int
    attributes: int
    removed: int
    replaced: int
    kept: tuple[str, ...]


def compare(settings: Settings, database: Database, study: Study, sent: list[Path]) -> Comparison:
    """Opens the stored objects of the study with the objects key, as a worker does."""
    stored = list(_stored(settings, database, study))
    removed = replaced = total = 0
    kept: set[str] = set()
    for path, (content, after) in zip(sent, stored, strict=True):
        before = pydicom.dcmread(path, stop_before_pixels=True)
        total += len(before)
        removed += sum(element.tag not in after for element in before)
        replaced += sum(element.tag in after and after[element.tag].value != element.value for element in before)
        kept |= {name for name in IDENTIFYING if _is_in(before, name, content)}
    return Comparison(len(stored), total, removed, replaced, tuple(sorted(kept)))


def _stored(settings: Settings, database: Database, study: Study) -> Iterator[tuple[bytes, Dataset]]:
    blobs = wiring.blobs(settings)
    seal = wiring.object_seal(settings, database)
    with database.read() as unit:
        instances = unit.studies.instances(study.id)
    for instance in instances:
        content = seal.open(study.patient, instance.blob_key, blobs.get(instance.blob_key))
        yield content, pydicom.dcmread(BytesIO(content), stop_before_pixels=True)


def _is_in(before: Dataset, name: str, content: bytes) -> bool:
    element = before.get(Tag(name))
    value = "" if element is None else str(element.value).rstrip("^")
    return len(value) >= SHORTEST_VALUE and value.encode() in content
