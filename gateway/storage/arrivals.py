"""What an arriving instance does to its study: the rows that a C-STORE success stands for.

The study's row is locked first, so that instances of one study are counted one after another. An object sent again
unchanged is a duplicate; a changed one under the same SOP Instance UID becomes the current version beside the old.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import bindparam, insert, select, update

from gateway.domain.errors import Conflict, Erased, Fault
from gateway.domain.ids import StudyId
from gateway.domain.lifecycle import STUDY
from gateway.domain.study import Arrival, Instance, Study
from gateway.storage import tables
from gateway.storage.prepared import Prepared, insert_new
from gateway.storage.tasks import SqlTasks
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

STUDY_COLUMNS = tuple(tables.study.c[field.name] for field in fields(Study))
_INSTANCE_FIELDS = tuple(field.name for field in fields(Instance))
_LATE = tuple(state for (state, event) in STUDY.moves if event == "reopen")
_TICK = timedelta(microseconds=1)

_instance = tables.instance.c
_LOCKED = Prepared(select(*STUDY_COLUMNS).where(tables.study.c.id == bindparam("study_id")).with_for_update())
_VERSIONS = Prepared(
    select(_instance.id, _instance.digest, _instance.is_current).where(
        _instance.study_id == bindparam("of_study"), _instance.sop_instance_uid == bindparam("of_object")
    )
)
_INSERT_FIRST = insert_new(tables.instance)
_INSERT_LATER = Prepared(insert(tables.instance))
_INSERT_HEADER = Prepared(insert(tables.vault_instance))
_UNSET_CURRENT = Prepared(update(tables.instance).where(_instance.id == bindparam("instance_id")), ("is_current",))
_SET_CURRENT = Prepared(
    update(tables.instance).where(_instance.id == bindparam("instance_id")), ("is_current", "received_at")
)
_COUNT = Prepared(
    update(tables.study).where(tables.study.c.id == bindparam("study_id")),
    (
        "instance_count",
        "expected_count",
        "priority",
        "modalities",
        "body_parts",
        "last_received_at",
        "settle_at",
        "study_date",
        "accession_index",
    ),
)
_IDENTIFY = Prepared(
    update(tables.vault_study).where(tables.vault_study.c.study_id == bindparam("of_study")), ("sealed_identity",)
)
_CREATE = insert_new(tables.study)
_ERASED_AT = Prepared(
    select(tables.patient.c.erased_at)
    .where(tables.patient.c.pseudonym == bindparam("of_patient"))
    .with_for_update(read=True)
)
_CREATE_IDENTITY = Prepared(insert(tables.vault_study))


class _Version(NamedTuple):
    """One version of an object that is stored already."""

    id: str
    digest: bytes
    is_current: bool


def lock_study(transaction: Transaction, study_id: StudyId) -> Study | None:
    """The study, its row held until the transaction ends."""
    row = transaction.row(_LOCKED, {"study_id": study_id})
    return None if row is None else Study(*row)


def receive(
    transaction: Transaction, arrival: Arrival, settle_at: datetime, at: datetime
) -> Literal["new", "duplicate"]:
    """Implements Studies.receive."""
    instance = arrival.instance
    study = _study_of(transaction, arrival, settle_at, at)
    is_first = _insert(transaction, _INSERT_FIRST, arrival)  # nearly always, and spares looking for versions
    same = None if is_first else _make_current(transaction, arrival)
    if same is not None and same.is_current:
        _identify(transaction, arrival)
        transaction.record("instance:duplicate", same.id, study=study.id, sender=instance.received_from)
        return "duplicate"
    reopened = reopen(transaction, study)
    _count(transaction, study, arrival, settle_at, at, is_new_object=is_first)
    if reopened or (study.accession_index is None and arrival.accession_index is not None):
        _identify(transaction, arrival)
    if same is not None:
        transaction.record("instance:duplicate", same.id, study=study.id, sender=instance.received_from, current=True)
        return "duplicate"
    transaction.record("instance:receive", instance.id, study=study.id, sender=instance.received_from)
    return "new"


def _study_of(transaction: Transaction, arrival: Arrival, settle_at: datetime, at: datetime) -> Study:
    study_id = arrival.instance.study_id
    study = lock_study(transaction, study_id)
    if study is None:
        _create(transaction, arrival, settle_at, at)
        study = lock_study(transaction, study_id)
    if study is None:
        raise Fault("the study's pseudonymous UID stands under another id")
    if study.patient != arrival.patient:
        raise Conflict("the study belongs to another patient")
    if study.state == "purged":
        _check_not_erased(transaction, arrival.patient)
        raise Conflict("the study has been purged")
    return study


def _check_not_erased(transaction: Transaction, patient: str) -> None:
    """Erased where the cleaner has used what it remembered of a patient that is not there any more."""
    row = transaction.row(_ERASED_AT, {"of_patient": patient})
    if row is not None and row[0] is not None:
        raise Erased("the patient was erased while the object was received")


def _create(transaction: Transaction, arrival: Arrival, settle_at: datetime, at: datetime) -> None:
    study_id = arrival.instance.study_id
    _check_not_erased(transaction, arrival.patient)
    values = {
        "id": study_id,
        "study_uid": arrival.study_uid,
        "patient": arrival.patient,
        "state": STUDY.initial,
        "revision": 1,
        "priority": arrival.priority,
        "modalities": (),
        "body_parts": (),
        "instance_count": 0,
        "expected_count": None,
        "first_received_at": at,
        "last_received_at": at,
        "settle_at": settle_at,
        "settled_by": None,
        "study_date": arrival.study_date,
        "accession_index": arrival.accession_index,
        "study_uid_index": arrival.study_uid_index,
        "kind": "images",
        "again_at": None,
    }
    if transaction.run(_CREATE, values) == 1:  # otherwise another process was first, and its row is good
        transaction.run(_CREATE_IDENTITY, {"study_id": study_id, "sealed_identity": arrival.sealed_study_identity})
        transaction.record("study:create", study_id, patient=arrival.patient)


def _identify(transaction: Transaction, arrival: Arrival) -> None:
    """The newest identity counts: a sender may correct what de-identification removes, and then the files are equal."""
    sealed = {"of_study": arrival.instance.study_id, "sealed_identity": arrival.sealed_study_identity}
    transaction.run(_IDENTIFY, sealed)


def _make_current(transaction: Transaction, arrival: Arrival) -> _Version | None:
    """The version that was current makes room; the stored version of the same content is returned.

    An older one that was sent again takes the place; content that is not stored yet is inserted.
    """
    instance = arrival.instance
    found = transaction.rows(_VERSIONS, {"of_study": instance.study_id, "of_object": instance.sop_instance_uid})
    versions = [_Version(*row) for row in found]
    same = next((version for version in versions if version.digest == instance.digest), None)
    if same is not None and same.is_current:
        return same
    for version in versions:
        if version.is_current:
            transaction.run(_UNSET_CURRENT, {"instance_id": version.id, "is_current": False})
    if same is None:
        _insert(transaction, _INSERT_LATER, arrival)
    else:
        again = {"instance_id": same.id, "is_current": True, "received_at": instance.received_at}
        transaction.run(_SET_CURRENT, again)
    return same


def _insert(transaction: Transaction, statement: Prepared, arrival: Arrival) -> bool:
    """False where the statement gives way to a row that holds the object's place."""
    instance = arrival.instance
    values = {name: getattr(instance, name) for name in _INSTANCE_FIELDS}
    if transaction.run(statement, {**values, "is_current": True}) != 1:
        return False
    sealed = {"instance_id": instance.id, "sealed_original_header": arrival.sealed_original_header}
    transaction.run(_INSERT_HEADER, sealed)
    return True


def reopen(transaction: Transaction, study: Study) -> bool:
    """A study that was found complete before goes back to `receiving` with its next revision."""
    if study.state not in _LATE:
        return False
    revision = study.revision + 1
    changes = {"revision": revision, "settled_by": None}
    move(transaction, STUDY, study.id, study.state, "reopen", changes=changes, details={"revision": revision})
    SqlTasks(transaction).withdraw_open(study.id, revision)
    return True


def _count(
    transaction: Transaction, study: Study, arrival: Arrival, settle_at: datetime, at: datetime, *, is_new_object: bool
) -> None:
    count = study.instance_count + is_new_object
    expected = arrival.expected_count or study.expected_count
    complete = expected is not None and count >= expected
    values = {
        "study_id": study.id,
        "instance_count": count,
        "expected_count": expected,
        "priority": "stat" if "stat" in (study.priority, arrival.priority) else "routine",
        "modalities": _with(study.modalities, arrival.instance.modality),
        "body_parts": _with(study.body_parts, arrival.body_part),
        "last_received_at": _later(study, at),
        "settle_at": at if complete else settle_at,
        "study_date": study.study_date or arrival.study_date,
        "accession_index": arrival.accession_index or study.accession_index,
    }
    transaction.run(_COUNT, values)


def _with(known: tuple[str, ...], value: str) -> tuple[str, ...]:
    return known if not value or value in known else (*known, value)


def _later(study: Study, at: datetime) -> datetime:
    """Grows with every instance even where the clock does not, because it guards `settle`."""
    return max(at, study.last_received_at + _TICK) if study.instance_count else at
