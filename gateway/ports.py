"""What the steps of the flow need from the world outside, as Protocols.

Database and BlobStore have an embedded and a distributed adapter each, and one contract suite that runs on both.
Adapters are named in gateway/wiring/, the inference engine of a worker in workers/run.py, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from gateway.domain.access import Client, ClientKind, Grant, Person, Role
from gateway.domain.audit import AuditQuery, AuditRow
from gateway.domain.bulk import BulkFile, BulkJob, BulkKind
from gateway.domain.clearance import Box, MaskedContent, PixelFinding, Pixels, PixelTask
from gateway.domain.criterion import Criterion, Link, Order, Place
from gateway.domain.finding import Finding
from gateway.domain.governance import Approval, Stop
from gateway.domain.identity import Purpose, StudyIdentity
from gateway.domain.ids import BlobKey, DeliveryId, FindingId, InstanceId, ModelId, ReportId, StudyId, TaskId
from gateway.domain.message import ReceivedMessage
from gateway.domain.model import ServedModel
from gateway.domain.prediction import Prediction
from gateway.domain.recall import Recall
from gateway.domain.record import InputDocument, RecordInput
from gateway.domain.reindex import Reindexing
from gateway.domain.report import Delivery, Report, ReportContent, ReportVersion
from gateway.domain.resource import Change, StoredVersion
from gateway.domain.review import Review
from gateway.domain.study import Arrival, Evidence, Instance, Priority, Scope, Study
from gateway.domain.subscription import Event, Subscriber
from gateway.domain.task import Task

T = TypeVar("T")


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


class Models(Protocol):
    """Models that workers have announced."""

    def announce(self, model: ServedModel) -> None:
        """Insert or refresh; an active model retires the other active versions of its name."""
        ...

    def activate(self, model_id: str) -> bool:
        """Makes it the active version of its name and retires the others; False where it is active already.

        Conflict where it was recalled.
        """
        ...

    def retire(self, model_id: str) -> bool:
        """A recall: no work is planned for it any more, and a corrected version may become active by itself."""
        ...

    def decide(self, model_id: str, state: Literal["shadow", "retired"]) -> bool:
        """A person lets it run without being reported, or not at all; False where it is in that state already."""
        ...

    def previous(self, name: str) -> ServedModel:
        """The version that was active last before the one that is; Missing where there was none."""
        ...

    def active(self) -> list[ServedModel]: ...

    def running(self) -> list[ServedModel]:
        """The active models and those in the shadow."""
        ...

    def wanted(self) -> frozenset[ModelId]:
        """Those that a task may come for: the running ones, and those that an open task was planned for."""
        ...

    def get(self, model_id: str) -> ServedModel: ...

    def all(self) -> list[ServedModel]: ...


class Tasks(Protocol):
    """Work for the workers. Every change is guarded by state and attempt."""

    def plan(self, study: Study, models: Sequence[ServedModel], at: datetime) -> list[Task]: ...

    def get(self, task_id: TaskId) -> Task: ...

    def of_study(self, study_id: StudyId, revision: int) -> list[Task]: ...

    def claim(self, task_id: TaskId, owner: str, now: datetime, lease_until: datetime) -> Task | None:
        """The task with the next attempt, or None where it is done or another holds a living lease."""
        ...

    def renew(self, task: Task, lease_until: datetime) -> bool: ...

    def finish(self, task: Task, finding: Finding) -> bool:
        """Done, with its finding; False where the attempt is no longer ours, and nothing is written then."""
        ...

    def end(
        self, task: Task, event: Literal["refuse", "fail", "release"], reason: str, until: datetime | None = None
    ) -> bool:
        """Ends the attempt; a released task is not announced again before `until` (None: at once)."""
        ...

    def retry(self, task_id: TaskId) -> bool:
        """A failed or refused task goes back to work, due at once; False where it is neither."""
        ...

    def withdraw_open(self, study_id: StudyId, before_revision: int) -> int: ...

    def unheld(self, now: datetime, published_before: datetime, limit: int) -> list[Task]:
        """Tasks that nobody is known to hold: never published, hint lost, or lease expired; STAT first."""
        ...

    def mark_published(self, task_ids: Sequence[TaskId], at: datetime) -> None: ...

    def findings(self, study_id: StudyId, revision: int) -> list[Finding]: ...

    def finding(self, finding_id: FindingId) -> Finding: ...

    def count_open(self) -> int: ...


class Reports(Protocol):
    """Reports and their versions."""

    def register(self, study: Study, at: datetime) -> Report:
        """The report of a study whose analysis begins; an existing one is returned unchanged."""
        ...

    def write(self, report: Report, event: str, revision: int, content: ReportContent, at: datetime) -> Report:
        """Next version under the state table; Conflict where the report has moved on since it was read."""
        ...

    def get(self, report_id: ReportId) -> Report: ...

    def version(self, report_id: ReportId, version: int) -> ReportVersion: ...

    def versions(self, report_id: ReportId) -> list[ReportVersion]: ...

    def find(
        self,
        *,
        studies: Sequence[StudyId] | None = None,
        statuses: Sequence[str] | None = None,
        updated_from: datetime | None = None,
        updated_before: datetime | None = None,
        limit: int,
        after: tuple[datetime, ReportId] | None = None,
    ) -> list[Report]:
        """Newest first; `after` is the last row of the page before."""
        ...

    def waiting(self, limit: int) -> list[tuple[Report, Study]]:
        """Preliminary reports with their studies: those of STAT studies first, then the longest waiting."""
        ...

    def count_waiting(self, limit: int) -> int:
        """How many wait for a signature; counting ends at `limit`."""
        ...


class Reviews(Protocol):
    """What physicians decided about report versions."""

    def add(self, made: Review) -> None: ...

    def of_report(self, report_id: ReportId) -> list[Review]:
        """Oldest first."""
        ...

    def since(self, since: datetime, limit: int) -> list[Review]:
        """Newest first."""
        ...

    def counts_by_key(self) -> Mapping[str, int]:
        """How many decisions each signing key has signed."""
        ...


class Recalls(Protocol):
    """Recalled model versions, and what rests on a model."""

    def add(self, made: Recall) -> Recall:
        """The recall of this model; the first one stays as it is."""
        ...

    def of_models(self, models: Sequence[ModelId]) -> list[Recall]:
        """Oldest first."""
        ...

    def reports_by(self, model_id: ModelId, limit: int, after: ReportId | None = None) -> list[Report]:
        """Reports of studies that the model has answered about, in the order of their ids."""
        ...

    def under_way(self, model_id: ModelId, limit: int) -> list[StudyId]:
        """Studies of whose present revision the model still has to say something."""
        ...


class Governance(Protocol):
    """Stopped models, approvals that wait for a second person, and what models have said."""

    def stop(self, made: Stop) -> bool:
        """From now on no task of the model is claimed or ended with an answer; False where it is stopped already."""
        ...

    def resume(self, model_id: ModelId) -> bool:
        """False where it was not stopped."""
        ...

    def stop_of(self, model_id: ModelId) -> Stop | None: ...

    def stops(self) -> list[Stop]:
        """Oldest first."""
        ...

    def waiting(self) -> dict[ModelId, int]:
        """Open tasks by model."""
        ...

    def approve(self, made: Approval) -> Approval:
        """The approval that counts: the first one, which may be another person's."""
        ...

    def approvals(self) -> list[Approval]: ...

    def withdraw_approval(self, model_id: ModelId) -> None: ...

    def answers(self, since: datetime, before: datetime) -> Iterator[tuple[Finding, bool]]:
        """Findings made in this time, page by page, and whether each was made in the shadow."""
        ...

    def ends(self, since: datetime, before: datetime) -> list[tuple[ModelId, str, int]]:
        """Tasks planned in this time: model, state, count."""
        ...


class Deliveries(Protocol):
    """Report versions on their way to destinations."""

    def plan(self, report: Report, destinations: Sequence[str], at: datetime) -> list[Delivery]:
        """One for each destination; what waits there of an earlier version is superseded."""
        ...

    def due(self, destination: str, now: datetime, limit: int) -> list[Delivery]: ...

    def attempt(self, delivery_id: DeliveryId, now: datetime, lease_until: datetime) -> Delivery | None: ...

    def acknowledge(self, delivery: Delivery, acknowledgement: str) -> bool: ...

    def defer(self, delivery: Delivery, until: datetime, error: str) -> bool: ...

    def bury(self, delivery: Delivery, error: str) -> bool: ...

    def supersede(self, delivery: Delivery) -> bool:
        """A newer version of the report exists; this one is not sent any more."""
        ...

    def of_report(self, report_id: ReportId) -> list[Delivery]: ...

    def replay(self, delivery_id: DeliveryId, now: datetime) -> bool:
        """The newest version of its report goes to its destination once more."""
        ...


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


class Resources(Protocol):
    """FHIR resources, ours and others', with all their versions (decision 9); bodies are sealed before they come here.

    A version is written once. `owner` may change between versions: a resource can get another patient.
    """

    def find(self, kind: str, own_id: str) -> StoredVersion | None:
        """The current version, which may be a deletion; None where there never was such a resource."""
        ...

    def named(self, names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], StoredVersion]:
        """The current versions of many (type, id)."""
        ...

    def foresee(self, names: Sequence[tuple[str, str]]) -> None:
        """What `find` will be asked in this unit; where a question costs a round trip, all are asked at once."""
        ...

    def of_keys(self, keys: Sequence[int]) -> list[StoredVersion]:
        """The current versions, in the order of `keys`."""
        ...

    def version(self, kind: str, own_id: str, version: int) -> StoredVersion:
        """Missing where there is none."""
        ...

    def history(
        self,
        *,
        kind: str | None = None,
        own_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        current_since: datetime | None = None,
        limit: int,
        after: tuple[datetime, int, int] | None = None,
    ) -> list[StoredVersion]:
        """Newest first, deletions too; `after` is (at, key, version) of the last row of the page before.

        From `since` on, before `until`; `current_since` leaves out what had been replaced by then.
        """
        ...

    def of_owner(self, owner: str, limit: int, after: int = 0, kind: str | None = None) -> list[StoredVersion]:
        """The current versions in one patient's record, oldest resource first."""
        ...

    def deleted(self, kind: str, since: datetime, until: datetime, limit: int, after: int = 0) -> list[StoredVersion]:
        """What of a type was deleted in this time, `until` with it, and is still, oldest resource first."""
        ...

    def following(self, after: int, until: int, limit: int) -> list[StoredVersion]:
        """The current versions, deletions too, with keys above `after` up to `until`, in the order of keys."""
        ...

    def last_key(self) -> int:
        """The greatest key that there is; 0 for an empty store."""
        ...

    def hold(self, owners: Sequence[str], keys: Sequence[int], conditions: Sequence[int]) -> Mapping[int, int]:
        """Nobody else changes these resources, or decides by these conditions, until the unit of work ends.

        Returns the version at which each of `keys` stands; Erased where an owner was erased. A condition is 32 bits.
        """
        ...

    def insert(self, first: StoredVersion) -> bool:
        """False where the type and id are taken, also by a deleted resource."""
        ...

    def replace(self, was: StoredVersion, now: StoredVersion) -> bool:
        """Guarded by the version that was read; False where another writer was first."""
        ...

    def write(self, changes: Sequence[tuple[StoredVersion | None, StoredVersion]]) -> bool:
        """Many of both at once, None for what is new; False where one failed, and the unit must not be committed."""
        ...


class ResourceIndex(Protocol):
    """Search over resources by blind-index rows; it sees them in clear and stores keyed hashes of what it must hide."""

    def put(self, changes: Sequence[Change]) -> None:
        """Replaces the rows of these resources; a deleted one loses them."""
        ...

    def forget(self, keys: Sequence[int]) -> None:
        """Deletes the rows of these resources: their patient was erased."""
        ...

    def forget_strays(self, after: int, until: int) -> None:
        """Deletes the rows of keys in this range (`until` with it) that no resource has."""
        ...

    def newest(self, kind: str) -> int:
        """The greatest key of a type, or of all (`EVERY_TYPE`); 0 where there is none.

        It is what a search looks at, whatever is written later.
        """
        ...

    def page(
        self,
        kind: str,
        criteria: Sequence[Criterion],
        order: Sequence[Order],
        *,
        limit: int,
        until: int,
        after: Place | None,
    ) -> list[Place]:
        """The next places in this order, the newest first among equals; no key above `until`.

        Where a criterion is lossy (`criterion.is_lossy`) there may be more than what fits.
        """
        ...

    def count(self, kind: str, criteria: Sequence[Criterion], *, until: int, most: int) -> int:
        """How many there are; counting ends at `most`."""
        ...

    def referred(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that these refer to."""
        ...

    def referring(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that refer to these."""
        ...

    def matching(
        self, kind: str, criteria: Sequence[tuple[str, str]], limit: int, *, owner: str | None = None
    ) -> list[int]:
        """Keys of the current resources of a type that match, newest first: for conditional interactions.

        With `owner`, those in this patient's record alone, and `limit` counts no others.
        Invalid for a parameter that is not served: a condition is never ignored.
        """
        ...


class Watcher(Protocol):
    """Who must know of writes to the FHIR store; called inside the writing transaction, before its commit."""

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None: ...


class Subscriptions(Protocol):
    """Subscriptions as rows beside their resources, and the events that they are to be told of."""

    def watched(self, now: datetime) -> list[tuple[str, int, int]]:
        """Id, key and version of every subscription that is neither off nor at its end."""
        ...

    def get(self, own_id: str) -> Subscriber | None: ...

    def add(self, subscriber: Subscriber) -> None: ...

    def follow(self, own_id: str, changes: Mapping[str, Any]) -> bool:
        """Columns that follow the resource."""
        ...

    def forget(self, own_id: str) -> None:
        """With all its events."""
        ...

    def add_events(self, events: Sequence[Event]) -> None:
        """Without a number: the next claim gives them theirs."""
        ...

    def due(self, now: datetime, limit: int) -> list[Subscriber]:
        """Those that nobody holds and that have a handshake, events, a heartbeat or their end before them."""
        ...

    def claim(self, waiting: Subscriber, now: datetime, lease_until: datetime) -> Subscriber | None:
        """The subscription with the next attempt and all its events numbered; None where another was first."""
        ...

    def progress(self, held: Subscriber, changes: Mapping[str, Any]) -> bool:
        """Guarded by the attempt; False where it is no longer ours."""
        ...

    def events(self, own_id: str, after: int, until: int, limit: int) -> list[Event]:
        """Numbers above `after` and up to `until`, in order."""
        ...

    def drop_sent(self, before: datetime) -> int:
        """Forgets events that were told of and are older."""
        ...

    def count(self) -> int:
        """How many there are that are not off."""
        ...


class BulkJobs(Protocol):
    """Jobs, their files and answers; every change of an open job is guarded by its attempt."""

    def add(self, job: BulkJob) -> None: ...

    def get(self, job_id: str) -> BulkJob | None: ...

    def count_open(self, client: str) -> int: ...

    def due(self, now: datetime, limit: int, kinds: Sequence[BulkKind]) -> list[BulkJob]:
        """Open jobs of these kinds that nobody holds, the oldest first."""
        ...

    def claim(self, job: BulkJob, lease_until: datetime) -> BulkJob | None: ...

    def progress(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        """False where the job is not open any more or another holds it."""
        ...

    def proceed(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        """The same, and False as well where what it was begun with was taken back."""
        ...

    def end(self, job_id: str, state: str) -> bool:
        """Cancelled or expired, whoever holds it."""
        ...

    def past(self, now: datetime, limit: int) -> list[BulkJob]:
        """Jobs whose files are to go."""
        ...

    def remove(self, job_id: str) -> None:
        """With the rows of its files."""
        ...

    def files(self, job_id: str) -> list[BulkFile]: ...

    def add_file(self, file: BulkFile) -> None: ...

    def drop_file(self, file: BulkFile) -> None: ...

    def answers(self, job_id: str) -> Mapping[int, bytes]:
        """What became of the entries of a Bundle so far, by their place; sealed."""
        ...

    def add_answers(self, job_id: str, sealed: Mapping[int, bytes]) -> None: ...


class BulkSource(Protocol):
    """Where lines to import come from."""

    def fetch(self, url: str) -> bytes:
        """Forbidden for a host that is not allowed, Invalid for too much, Unavailable where it does not answer."""
        ...


class Hook(Protocol):
    """Sends one request to an endpoint that a client has named."""

    def send(
        self, method: str, url: str, body: bytes | None, headers: Sequence[tuple[str, str]], seconds: float
    ) -> None:
        """Unavailable unless it was accepted; Forbidden where the address may not be reached."""
        ...


class Messages(Protocol):
    """FHIR messages that were processed (R4 messaging), each once."""

    def find(self, client: str, message: bytes, bundle: bytes | None) -> ReceivedMessage | None:
        """The client's message of that MessageHeader.id, else the one that came with that Bundle.identifier."""
        ...

    def keep(self, received: ReceivedMessage) -> bool:
        """False where it, or its Bundle.identifier, is there already."""
        ...

    def forget(self, before: datetime) -> None:
        """Those that came before."""
        ...


class Reindexings(Protocol):
    """Passes over the search index, one at a time."""

    def newest(self) -> Reindexing | None: ...

    def begin(self, first: Reindexing) -> None: ...

    def move(self, was: Reindexing, now: Reindexing) -> bool:
        """False where the pass does not stand where it did, or has ended."""
        ...


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


class OpenResource(Protocol):
    """Opens the sealed body of a stored resource."""

    def __call__(self, unit: UnitOfWork, stored: StoredVersion) -> Mapping[str, Any]: ...


class SealIdentity(Protocol):
    """Who a record is about, from its Patient resource, sealed under the patient's own key for the vault."""

    def __call__(self, study: Study, resources: Sequence[Mapping[str, Any]]) -> bytes: ...


class Access(Protocol):
    """Clients, persons and their grants."""

    def client(self, kind: ClientKind, name: str) -> Client | None: ...

    def clients(self) -> list[Client]: ...

    def add_client(self, client: Client) -> None: ...

    def rotate_client(self, now: Client) -> bool:
        """Replaces by what a client proves who it is, and ends what it was granted; False where it is not active."""
        ...

    def disable_client(self, kind: ClientKind, name: str) -> bool: ...

    def person(self, name: str) -> Person | None: ...

    def person_of(self, issuer: str, subject: str) -> Person | None:
        """The person behind an account of an identity provider."""
        ...

    def set_role(self, person: Person, role: Role) -> None: ...

    def add_person(self, person: Person) -> None: ...

    def add_grant(self, grant: Grant) -> None: ...

    def grant(self, token_hash: bytes, now: datetime) -> Grant | None: ...

    def serves(self, client_name: str, token_hash: bytes | None) -> bool:
        """Whether the client may come in, with this token if it shows one; both stay as they are until the commit."""
        ...

    def drop_grant(self, token_hash: bytes) -> bool:
        """With what was begun with it; False where another was first: a code or refresh token serves once."""
        ...

    def drop_chain(self, chain: str) -> None:
        """Everything that came of one sign-in, and what was begun with it."""
        ...

    def id_token_key(self, own_id: str) -> bytes | None:
        """The sealed RSA key of ID tokens."""
        ...

    def keep_id_token_key(self, own_id: str, sealed: bytes, former_for: timedelta) -> bytes:
        """The one that is kept: this one, or what another process was first with. Former ones go after that time."""
        ...

    def use_assertion(self, digest: bytes, expires_at: datetime) -> bool:
        """Remembers a signed assertion until it expires; False where it was used before, by whatever process."""
        ...


class AuditTrail(Protocol):
    """The hash-chained trail. Entries recorded in a unit of work are chained when it commits."""

    def record(
        self, event: str, subject_id: str, actor: str, **details: str | int | float | bool | list[str] | None
    ) -> None: ...

    def head(self) -> tuple[int, bytes]:
        """Sequence number and code of the last row; (0, zeros) for an empty trail."""
        ...

    def rows(self, *, after_seq: int = 0, limit: int = 1000) -> Iterable[AuditRow]: ...

    def newest(
        self,
        *,
        limit: int,
        before_seq: int | None = None,
        event: str | None = None,
        subject_id: str | None = None,
    ) -> list[AuditRow]: ...

    def search(self, query: AuditQuery, *, limit: int, before_seq: int | None = None) -> list[AuditRow]:
        """Newest first."""
        ...

    def count(self, query: AuditQuery, limit: int) -> int:
        """How many rows; counting ends at `limit`."""
        ...


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction. Leaving the block without `commit` rolls back."""

    @property
    def studies(self) -> Studies: ...
    @property
    def clearances(self) -> Clearances: ...
    @property
    def pixel_tasks(self) -> PixelTasks: ...
    @property
    def models(self) -> Models: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def reports(self) -> Reports: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def recalls(self) -> Recalls: ...
    @property
    def governance(self) -> Governance: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def identities(self) -> Identities: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def key_rows(self) -> KeyRows: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def records(self) -> Records: ...
    @property
    def resource_index(self) -> ResourceIndex: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def bulk_jobs(self) -> BulkJobs: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def reindexings(self) -> Reindexings: ...
    @property
    def access(self) -> Access: ...
    @property
    def audit(self) -> AuditTrail: ...

    def commit(self) -> None: ...


class Database(Protocol):
    """Opens units of work for one named actor, whose name stands in the audit rows of state changes."""

    @property
    def one_writes(self) -> bool:
        """Whether units that write wait for each other, so that nothing should be done in one that can be before it."""
        ...

    def begin(self, actor: str) -> UnitOfWork: ...

    def read(self) -> UnitOfWork:
        """A unit of work that only reads and takes no write lock; committing it is an error."""
        ...


class GroupCommit(Protocol):
    """Runs many small writes in one transaction and answers each when that transaction is durable."""

    def submit(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> T:
        """What `write` returned, once durable. One that lingers waits a moment for company in its transaction."""
        ...

    def later(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> Future[T]:
        """The same for who waits in another way than by blocking a thread."""
        ...


class BlobStore(Protocol):
    """Write-once bytes under a key. `put` returns only when the bytes would survive a power cut."""

    def put(self, key: BlobKey, parts: Sequence[bytes | memoryview]) -> None:
        """Conflict where the key exists; Unavailable where the disk or the service is out or full."""
        ...

    def get(self, key: BlobKey) -> bytes: ...

    def read_range(self, key: BlobKey, start: int, length: int) -> bytes: ...

    def delete(self, key: BlobKey) -> None:
        """Idempotent."""
        ...

    def keys(self) -> Iterable[BlobKey]: ...

    def stored_before(self, moment: datetime) -> Iterable[BlobKey]:
        """Keys of what was stored before `moment`, by the store's own clock."""
        ...


class Doorbell(Protocol):
    """Tells workers that a task waits. The broker holds the id alone; losing a ring loses no work."""

    def ring(self, task_id: TaskId, priority: Priority) -> None:
        """Unavailable where the broker cannot be reached."""
        ...

    def ring_pixels(self, instance_id: InstanceId, priority: Priority) -> None:
        """The same for the search of one object's pixels."""
        ...


class ObjectSeal(Protocol):
    """Encrypts objects and pictures under the patient's key, bound to the id they are stored for."""

    def seal(self, pseudonym: str, object_id: str, parts: Iterable[bytes | memoryview]) -> list[bytes]: ...

    def open(self, pseudonym: str, object_id: str, sealed: bytes) -> bytes: ...

    def forget(self, pseudonym: str) -> None:
        """Drop the patient's key from memory: the patient was erased."""
        ...


class IdentityVault(Protocol):
    """Opens identity; every opening writes its audit row in the caller's unit of work."""

    def study_identity(self, unit: UnitOfWork, study: Study, purpose: Purpose, actor: str) -> StudyIdentity: ...

    def original_uids(self, unit: UnitOfWork, study: Study, purpose: Purpose, actor: str) -> Mapping[str, str]:
        """Pseudonymous SOP and Series Instance UIDs of the study to the original ones."""
        ...

    def patients(self, unit: UnitOfWork, issuer: str | None, patient_id: str) -> list[str]:
        """Pseudonyms of the patients known by this identifier."""
        ...

    def search_index(self, kind: Literal["accession", "study-uid", "condition", "message"], value: str) -> bytes: ...


class ContentSigner(Protocol):
    """The gateway's own signature."""

    def sign(self, claims: Mapping[str, str | int]) -> tuple[str, str]:
        """The JWS over `claims` and the id of the key. Unavailable where there is no key to sign with."""
        ...


class Outlet(Protocol):
    """Sends one report version to one destination and returns what the destination acknowledged."""

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Unavailable or Busy: try again later. Any other GatewayError: the destination refuses it."""
        ...


class ReportDocument(Protocol):
    """A report version with identity restored and everything an encoder needs."""

    @property
    def report(self) -> Report: ...
    @property
    def version(self) -> ReportVersion: ...
    @property
    def study(self) -> Study: ...
    @property
    def instances(self) -> Sequence[Instance]: ...
    @property
    def identity(self) -> StudyIdentity: ...
    @property
    def models(self) -> Mapping[str, ServedModel]: ...
    @property
    def original_uids(self) -> Mapping[str, str]: ...
    @property
    def pictures(self) -> Mapping[str, bytes]:
        """Heat maps (PNG) by blob key."""
        ...

    @property
    def reviews(self) -> Sequence[Review]:
        """What physicians decided about the report up to this version, oldest first."""
        ...

    @property
    def recalls(self) -> Sequence[Recall]:
        """Recalls of models of this version, as known when the version was made."""
        ...

    @property
    def dicomweb_url(self) -> str:
        """Base address of the DICOMweb server that has the study's images; empty where none is configured."""
        ...

    @property
    def basis(self) -> Mapping[str, Sequence[str]]:
        """By model, the resources (Type/id) of the record that its input was gathered from."""
        ...


@dataclass(frozen=True)
class SearchedPixels:
    """What a search found, and the pixels that replace the object's own; `pixel_data` None: they stay as they are.

    `pixel_data` is native, in the byte order of the transfer syntax; `changes` are attributes of group 0028, and
    0x00020010 for another transfer syntax. `preview` is a PNG for the person who decides, where there is a doubt.
    """

    finding: PixelFinding
    pixel_data: bytes | None
    changes: Mapping[int, int | str]
    preview: bytes | None = None


class PixelSearch(Protocol):
    """Looks for text in the pixels of one de-identified Part 10 file."""

    def search(self, file: bytes, asked: Sequence[Box] | None) -> SearchedPixels:
        """With `asked` it masks these boxes and searches for nothing. Invalid: the pixels cannot be decoded."""
        ...


class Inference(Protocol):
    """Runs a verified model on the de-identified Part 10 files of one study."""

    def predict(self, model_id: ModelId, instances: Iterable[bytes], priority: Priority = "routine") -> Prediction:
        """Unsupported: the study is outside the model's scope, with the reason that reaches the sender.

        What is `stat` goes before everything else that waits for the same model.
        """
        ...

    def predict_record(self, model_id: ModelId, document: InputDocument) -> Prediction:
        """The same on what was gathered from a record."""
        ...
