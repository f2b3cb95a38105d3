"""Studies and their instances: whether an object is cleared, the search of its pixels, what a record gives a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from gateway.domain.clearance import Box, MaskedContent, PixelFinding, Pixels, PixelTask
from gateway.domain.ids import BlobKey, InstanceId, StudyId
from gateway.domain.record import RecordInput
from gateway.domain.study import Arrival, Evidence, Instance, Priority, Scope, Study


class Studies(Protocol):
    """Studies and their instances."""

    def receive(self, arrival: Arrival, settle_at: datetime, at: datetime) -> Literal["new", "duplicate"]:
        """Insert the instance and its study, or find that the very same object is already here.

        A study that is past `receiving` reopens with the next revision, and its open tasks are withdrawn.
        """
        ...

    def get(self, study_id: StudyId) -> Study:
        """The study; Missing where there is none."""
        ...

    def lock(self, study_id: StudyId) -> Study:
        """The study, held until the unit of work ends, so that two finishing tasks see each other."""
        ...

    def instances(self, study_id: StudyId) -> list[Instance]:
        """The current instances, one for each SOP Instance UID (the last received), in order of arrival."""
        ...

    def scopes(self, study_id: StudyId, modalities: Collection[str]) -> list[Scope]:
        """Of the current instances of these modalities, what decides which models they are for."""
        ...

    def due(self, now: datetime, limit: int) -> list[Study]:
        """Studies in `receiving` whose time to settle has come and whose objects are all decided about."""
        ...

    def settle(self, study: Study, evidence: Evidence) -> bool:
        """Guarded move to `settled`; False where an instance has arrived since `study` was read."""
        ...

    def move(self, study_id: StudyId, was: str, event: str) -> bool:
        """Guarded move of the state table; False where the study is no longer in `was`."""
        ...

    def reopen(self, study: Study) -> bool:
        """A locked study back to `receiving` with its next revision, to be analysed again; False where it is open."""
        ...

    def newest(self, limit: int, before: datetime | None = None) -> list[Study]: ...

    def ids_by_accession(self, index: bytes, patient: str | None = None) -> list[StudyId]:
        """Of one patient where a pseudonym is given: accession numbers are not unique."""
        ...

    def ids_by_study_uid(self, index: bytes) -> list[StudyId]: ...

    def ids_by_patient(self, pseudonym: str) -> list[StudyId]: ...


class Clearances(Protocol):
    """Whether objects may be read: decisions of the checker, of the search for text and of people."""

    def get(self, instance_id: InstanceId) -> Instance:
        """The instance; Missing where there is none."""
        ...

    def unchecked(self, limit: int) -> list[Instance]:
        """Instances that wait for the checker, those of STAT studies first, then the oldest."""
        ...

    def decide(
        self,
        instance: Instance,
        event: Literal["clear", "mask", "hold", "quarantine", "release", "reject", "recheck"],
        reason: str | None = None,
        *,
        pixels: Pixels | None = None,
    ) -> bool:
        """Guarded move from the state in which `instance` was read; False where it has moved on.

        A study that has settled without the object is reopened when the object is cleared.
        """
        ...

    def reject_undecided(self, study_id: StudyId, reason: str) -> int:
        """Whatever of a study is not cleared will not be: for a study that is purged."""
        ...

    def waiting(self, states: Sequence[str], limit: int, after: InstanceId | None = None) -> list[Instance]:
        """Instances in these uncleared states, oldest first; `after` is the last row of the page before."""
        ...

    def count(self, state: str, limit: int) -> int:
        """How many instances are in this uncleared state; counting ends at `limit`."""
        ...

    def counts(self, study_id: StudyId) -> Mapping[str, int]:
        """How many current instances of a study are in which state."""
        ...


class PixelTasks(Protocol):
    """Searches of pixels for text, one for each instance; guarded like `Tasks`."""

    def plan(
        self, instance: Instance, priority: Priority, at: datetime, asked: tuple[Box, ...] | None = None
    ) -> PixelTask:
        """The task of this instance; one that has ended goes back to work, with what a person has asked."""
        ...

    def get(self, instance_id: InstanceId) -> PixelTask:
        """Missing where none was planned."""
        ...

    def claim(self, instance_id: InstanceId, owner: str, now: datetime, lease_until: datetime) -> PixelTask | None: ...

    def renew(self, task: PixelTask, lease_until: datetime) -> bool: ...

    def finish(
        self, task: PixelTask, finding: PixelFinding, masked: MaskedContent | None, preview_key: BlobKey | None
    ) -> bool:
        """Done: the object goes back to the checker, or to a person where the finding has a doubt.

        `masked` replaces the object's content. False where the attempt is no longer ours; nothing is written then.
        """
        ...

    def end(
        self, task: PixelTask, event: Literal["release", "fail"], reason: str, until: datetime | None = None
    ) -> bool:
        """Ends the attempt; a failed search holds the object for a person."""
        ...

    def withdraw_open(self, study_id: StudyId) -> int:
        """Searches that are not ended yet of a study that is purged."""
        ...

    def unheld(self, now: datetime, published_before: datetime, limit: int) -> list[PixelTask]: ...

    def mark_published(self, instance_ids: Sequence[InstanceId], at: datetime) -> None: ...


class Records(Protocol):
    """Patients' records, each a study of kind `record`, and what was gathered from them for models (decision 10)."""

    def touch(self, patient: str, settle_at: datetime, at: datetime) -> bool:
        """The record has changed: it is settled, in its next revision, not before `settle_at`."""
        ...

    def touch_known(self, patient: str, settle_at: datetime, at: datetime) -> bool:
        """The same where the record has been touched before; False where it has not."""
        ...

    def due(self, now: datetime, limit: int) -> list[Study]:
        """Records whose time to settle has come."""
        ...

    def look_again(self, study_id: StudyId, at: datetime) -> None:
        """The record is gathered anew at `at` though nothing is written to it: a stay has become long enough."""
        ...

    def ripe(self, now: datetime, limit: int) -> list[Study]:
        """Records that are to be looked at again by now."""
        ...

    def keep(self, made: RecordInput, resources: Sequence[str], at: datetime) -> None:
        """The sealed input of one model, and the resources (Type/id) that it was gathered from."""
        ...

    def identify(self, study_id: StudyId, sealed_identity: bytes) -> None: ...

    def input(self, study_id: StudyId, revision: int, model_id: str) -> RecordInput: ...

    def last_digests(self, study_id: StudyId) -> Mapping[str, bytes]:
        """Of the inputs of the newest revision that had any, by model."""
        ...

    def basis(self, study_id: StudyId, revision: int) -> Mapping[str, tuple[str, ...]]:
        """By model, the resources that its input was gathered from; closed to workers."""
        ...
