"""receive: one DICOM object in; de-identified, sealed, durable and committed before it returns.

The sender is told of success only after this step has returned (law 1), so it must leave either everything or
nothing that counts: a sealed blob without a row is invisible and harmless, a row without a blob cannot happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from gateway.domain.clearance import Deidentification
from gateway.domain.errors import Busy, Conflict, Erased
from gateway.domain.ids import BlobKey, InstanceId, Pseudonym, StudyId, derive_id, new_id
from gateway.domain.study import Arrival, Instance, Priority
from gateway.ports import BlobStore, GroupCommit, ObjectSeal, UnitOfWork

Buffer = bytes | bytearray | memoryview
_TRIES = 3
URGENT = frozenset({"STAT", "HIGH"})  # values of Requested Procedure Priority (0040,1003) that mean at once


@dataclass(frozen=True)
class ReceivedObject:
    """A data set as a peer sent it, with what the C-STORE request said of it. `sender` names the peer."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset: Buffer = field(repr=False)
    sender: str


@dataclass(frozen=True)
class CleanedObject:
    """A de-identified Part 10 file with what the rows need and what the vault keeps, sealed."""

    parts: Sequence[bytes | memoryview] = field(repr=False)
    patient: Pseudonym
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    original_sop_instance_uid: str
    original_sop_class_uid: str
    modality: str
    body_part: str
    study_date: str | None
    requested_priority: str
    expected_count: int | None
    header: dict[str, str | int | None]
    deidentification: Deidentification
    accession_index: bytes | None
    study_uid_index: bytes
    sealed_study_identity: bytes
    sealed_original_header: bytes


class Cleaner(Protocol):
    """De-identifies a data set and seals its identity for the vault, bound to the study and instance id."""

    def __call__(self, dataset: Buffer, transfer_syntax_uid: str, instance_id: InstanceId) -> CleanedObject: ...

    def forget(self, patient: Pseudonym) -> None:
        """Drop what is remembered of a patient: the patient was erased."""
        ...


@dataclass(frozen=True)
class ReceiveInstance:
    """The step that a storage request runs, in the thread of its association."""

    clean: Cleaner
    seal: ObjectSeal
    blobs: BlobStore
    commits: GroupCommit
    quiet: dict[Priority, timedelta]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, received: ReceivedObject) -> Literal["new", "duplicate"]:
        """An object of a patient who was erased meanwhile is cleaned once more, as one of a patient not yet known."""
        for _ in range(_TRIES):
            try:
                return self._store(received)
            except Erased:
                continue
        raise Busy("the patient of this object is being erased")

    def _store(self, received: ReceivedObject) -> Literal["new", "duplicate"]:
        instance_id = InstanceId(new_id())
        cleaned = self.clean(received.dataset, received.transfer_syntax_uid, instance_id)
        _check_request_matches(received, cleaned)
        arrival = self._arrival(received, cleaned, instance_id)
        key = arrival.instance.blob_key
        try:
            self.blobs.put(key, self.seal.seal(cleaned.patient, key, cleaned.parts))
            outcome = self.commits.submit(lambda unit: self._commit(unit, arrival))
        except Erased:
            self.clean.forget(cleaned.patient)
            self.seal.forget(cleaned.patient)
            self.blobs.delete(key)
            raise
        if outcome == "duplicate":
            self.blobs.delete(key)
        return outcome

    def _arrival(self, received: ReceivedObject, cleaned: CleanedObject, instance_id: InstanceId) -> Arrival:
        instance = Instance(
            id=instance_id,
            study_id=StudyId(derive_id("study", cleaned.study_uid)),
            series_uid=cleaned.series_uid,
            sop_instance_uid=cleaned.sop_instance_uid,
            sop_class_uid=received.sop_class_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
            modality=cleaned.modality,
            blob_key=BlobKey(instance_id),
            size=sum(len(part) for part in cleaned.parts),
            digest=_digest(cleaned.parts),
            header=cleaned.header,
            received_at=self.now(),
            received_from=received.sender,
            deidentification=cleaned.deidentification,
        )
        return Arrival(
            instance=instance,
            study_uid=cleaned.study_uid,
            patient=cleaned.patient,
            priority="stat" if cleaned.requested_priority.upper() in URGENT else "routine",
            body_part=cleaned.body_part,
            study_date=cleaned.study_date,
            expected_count=cleaned.expected_count,
            accession_index=cleaned.accession_index,
            study_uid_index=cleaned.study_uid_index,
            sealed_study_identity=cleaned.sealed_study_identity,
            sealed_original_header=cleaned.sealed_original_header,
        )

    def _commit(self, unit: UnitOfWork, arrival: Arrival) -> Literal["new", "duplicate"]:
        at = self.now()
        return unit.studies.receive(arrival, at + self.quiet[arrival.priority], at)


def _digest(parts: Sequence[bytes | memoryview]) -> bytes:
    """SHA-256 of the de-identified file; the same object sent again has the same one."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _check_request_matches(received: ReceivedObject, cleaned: CleanedObject) -> None:
    """PS3.4 B.2.3: a data set that is not the object the request announced is answered with A900."""
    if cleaned.original_sop_instance_uid != received.sop_instance_uid:
        raise Conflict("the data set's SOP Instance UID is not the one of the C-STORE request")
    if cleaned.original_sop_class_uid != received.sop_class_uid:
        raise Conflict("the data set's SOP Class UID is not the one of the C-STORE request")
