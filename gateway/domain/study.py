"""A study and its instances as the gateway keeps them: de-identified, under pseudonymous UIDs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.domain.clearance import Deidentification, Pixels
from gateway.domain.ids import BlobKey, InstanceId, Pseudonym, StudyId, derive_id

Priority = Literal["stat", "routine"]
Evidence = Literal["expected-count", "quiet-time", "operator"]
StudyKind = Literal["images", "record"]
"""What is analysed together: the images of one DICOM study, or what one patient's record says (decision 10)."""


@dataclass(frozen=True)
class Study:
    """One DICOM study, or the record, of one patient; `revision` counts how often it was found complete anew."""

    id: StudyId
    study_uid: str
    patient: Pseudonym
    state: str
    revision: int
    priority: Priority
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    instance_count: int
    expected_count: int | None
    first_received_at: datetime
    last_received_at: datetime
    settle_at: datetime
    settled_by: Evidence | None = None
    study_date: str | None = None
    accession_index: bytes | None = None
    study_uid_index: bytes | None = None
    kind: StudyKind = "images"


@dataclass(frozen=True)
class Scope:
    """What of an instance decides which models it is for."""

    modality: str
    sop_class_uid: str
    header: Mapping[str, str | int | None]


@dataclass(frozen=True)
class Instance:
    """One stored SOP instance. `header` holds de-identified attributes by DICOM keyword.

    `digest` is of the file as it came out of the header's cleaning; `content_digest` of the one that replaced it
    when text in its pixels was masked. `checked_at` is when the checker last gave its verdict.
    """

    id: InstanceId
    study_id: StudyId
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    blob_key: BlobKey
    size: int
    digest: bytes
    header: Mapping[str, str | int | None]
    received_at: datetime
    received_from: str
    clearance: str = "unchecked"
    clearance_reason: str | None = None
    pixels: Pixels = "unsearched"
    deidentification: Deidentification | None = None
    content_digest: bytes | None = None
    removed_pixels_key: BlobKey | None = None
    checked_at: datetime | None = None

    @property
    def read_digest(self) -> bytes:
        """Of the file that a model reads."""
        return self.content_digest or self.digest


@dataclass(frozen=True)
class Arrival:
    """An instance that is sealed and on disk, ready to be committed together with the study it belongs to."""

    instance: Instance
    study_uid: str
    patient: Pseudonym
    priority: Priority
    body_part: str
    study_date: str | None
    expected_count: int | None
    accession_index: bytes | None
    study_uid_index: bytes
    sealed_study_identity: bytes
    sealed_original_header: bytes


def record_id(patient: str) -> StudyId:
    """The id under which a patient's record is settled and analysed."""
    return StudyId(derive_id("record", patient))
