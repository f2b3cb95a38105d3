"""Patients and their keys: identity rows, the quota of openings, what rests on which key, erasure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway.domain.ids import BlobKey, InstanceId, StudyId
from gateway.domain.study import Study


@dataclass(frozen=True)
class PatientRow:
    """A patient as the vault keeps one: found by blind indexes, secret and object key sealed."""

    index: bytes
    id_index: bytes
    pseudonym: str
    sealed_secret: bytes
    wrapped_object_key: bytes


class Identities(Protocol):
    """Rows of the vault and of the patients' object keys; what is in them is sealed before it comes here."""

    def find_patient(self, index: bytes) -> PatientRow | None:
        """The patient of this blind index of issuer and identifier."""
        ...

    def patient(self, pseudonym: str) -> PatientRow | None:
        """The patient of this pseudonym."""
        ...

    def add_patient(self, row: PatientRow) -> PatientRow:
        """Insert, or return what another process has inserted first."""
        ...

    def pseudonyms(self, id_index: bytes) -> list[str]:
        """Patients with this blind index of the identifier alone, whoever issued it."""
        ...

    def object_key(self, pseudonym: str) -> bytes:
        """The patient's object key, wrapped under the objects key ring; all of this port that a worker reads."""
        ...

    def study_identity(self, study_id: StudyId) -> bytes: ...

    def original_headers(self, study_id: StudyId) -> list[tuple[InstanceId, bytes]]: ...


class Quotas(Protocol):
    """How much identity each actor has opened, by windows of time."""

    def take(self, actor: str, window_start: datetime, count: int, most: int) -> bool:
        """Counts `count` openings; False, and nothing is counted, where the window would then hold more than `most`."""
        ...

    def used(self, actor: str, window_start: datetime) -> int: ...


WrappedKeys = Literal["objects", "identity"]
"""Which of a patient's keys: the object key (under the objects ring) or the secret (under the identity ring)."""

Resting = Literal["objects", "identity", "audit", "deposits"]
"""What rests on a key of a ring: wrapped keys, rows of the audit trail, deposits of removed pixels."""


class KeyRows(Protocol):
    """Patients' wrapped keys as rows, for rotation; what wraps them is known by a key id in front of each."""

    def counts(self, which: WrappedKeys, kids: Sequence[str]) -> Mapping[str, int]:
        """How many rows each of these keys still wraps."""
        ...

    def audit_counts(self) -> Mapping[str, int]:
        """How many rows of the audit trail are chained under each key."""
        ...

    def outside(self, which: WrappedKeys, kid: str, limit: int, after: str = "") -> list[tuple[str, bytes]]:
        """Pseudonyms behind `after` and their wrapped keys, where another key than `kid` wraps them."""
        ...

    def rewrap(self, which: WrappedKeys, pseudonym: str, was: bytes, now: bytes) -> bool:
        """False where the row is not `was` any more."""
        ...

    def searched_pixels(self, limit: int, after: str = "") -> list[tuple[InstanceId, str, int]]:
        """Objects, behind `after`, whose pixels were searched, with patient and attempts: each may have a deposit."""
        ...

    def hold(self, what: Resting) -> None:
        """Until the unit of work ends nobody adds or changes a row of this kind; the unit must write nothing else."""
        ...


class Erasures(Protocol):
    """Erasing a patient, and what of one is still to be deleted."""

    def begin(self, pseudonym: str) -> list[Study]:
        """Locks the patient and returns the studies, locked; Missing where unknown, Erased where erased already."""
        ...

    def destroy(self, pseudonym: str, at: datetime) -> int:
        """Deletes all identity, the secret and the object key; returns how many objects lose their original header."""
        ...

    def unfinished(self, limit: int) -> list[str]:
        """Erased patients of whom sealed files may still lie in the blob store."""
        ...

    def blob_keys(self, pseudonym: str) -> list[BlobKey]:
        """Names of every sealed file that an erased patient may have: objects, removed pixels, previews, heat maps.

        Those too that an attempt has stored before it was cut off, so some of these files may not be there.
        """
        ...

    def finish(self, pseudonym: str, at: datetime) -> None:
        """The files are gone."""
        ...

    def unnamed(self, keys: Collection[BlobKey]) -> set[BlobKey]:
        """Those of the keys that no row names, neither directly nor by what it was made from."""
        ...
