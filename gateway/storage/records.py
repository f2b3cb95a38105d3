"""Patients' records as studies of kind `record`, and the inputs gathered from them, as rows (port `Records`).

A write to the FHIR store marks the record here inside the same transaction, so that no change is forgotten; what
follows (settle, task, finding, report, delivery) is the road of every other study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, bindparam, exists, func, insert, select, update

from gateway.domain.errors import Missing
from gateway.domain.ids import StudyId
from gateway.domain.lifecycle import STUDY
from gateway.domain.record import RecordInput
from gateway.domain.study import Study, record_id
from gateway.storage import tables
from gateway.storage.arrivals import STUDY_COLUMNS, lock_study, reopen
from gateway.storage.prepared import Prepared, insert_new
from gateway.storage.record_tables import record_input, vault_record_basis
from gateway.storage.transaction import Transaction

_study, _input = tables.study.c, record_input.c
_COLUMNS = (_input.id, _input.study_id, _input.revision, _input.model_id, _input.blob_key, _input.size, _input.digest)
_TICK = timedelta(microseconds=1)
_LIVES = Prepared(
    select(tables.patient.c.erased_at)
    .where(tables.patient.c.pseudonym == bindparam("of_patient"))
    .with_for_update(read=True)
)
_NEW = insert_new(tables.study)
_TOUCH = Prepared(
    update(tables.study).where(_study.id == bindparam("of_id")), sets=("last_received_at", "settle_at", "again_at")
)


class SqlRecords:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def touch(self, patient: str, settle_at: datetime, at: datetime) -> bool:
        """False for a patient that is erased or unknown: nothing follows from what is written about nobody."""
        if not self._lives(patient):
            return False
        study = lock_study(self._transaction, record_id(patient))
        if study is None:
            if self._transaction.run(_NEW, _new(patient, settle_at, at)) == 1:
                self._transaction.record("study:create", record_id(patient), patient=patient, kind="record")
                return True  # it was made with these times
            study = lock_study(self._transaction, record_id(patient))  # another writer was first
        return self._touch(study, settle_at, at)

    def touch_known(self, patient: str, settle_at: datetime, at: datetime) -> bool:
        return self._touch(lock_study(self._transaction, record_id(patient)), settle_at, at)

    def _touch(self, study: Study | None, settle_at: datetime, at: datetime) -> bool:
        if study is None or study.state == "purged":
            return False
        reopen(self._transaction, study)
        # grows with every change even where the clock does not, because it guards `settle`
        later = max(at, study.last_received_at + _TICK)
        changes = {"of_id": study.id, "last_received_at": later, "settle_at": settle_at, "again_at": None}
        self._transaction.run(_TOUCH, changes)
        return True

    def due(self, now: datetime, limit: int) -> list[Study]:
        mine = and_(_study.kind == "record", _study.state == "receiving", _study.settle_at <= now)
        found = select(*STUDY_COLUMNS).where(mine).order_by(_study.settle_at, _study.id).limit(limit)
        return [Study(*row) for row in self._transaction.all(found)]

    def look_again(self, study_id: StudyId, at: datetime) -> None:
        self._transaction.execute(update(tables.study).where(_study.id == study_id), {"again_at": at})

    def ripe(self, now: datetime, limit: int) -> list[Study]:
        mine = and_(_study.again_at.is_not(None), _study.again_at <= now)
        found = select(*STUDY_COLUMNS).where(mine).order_by(_study.again_at, _study.id).limit(limit)
        return [Study(*row) for row in self._transaction.all(found)]

    def keep(self, made: RecordInput, resources: Sequence[str], at: datetime) -> None:
        row = {name: getattr(made, name) for name in ("id", "study_id", "revision", "model_id", "blob_key", "size")}
        self._transaction.execute(insert(record_input), {**row, "digest": made.digest, "created_at": at})
        basis = {"input_id": made.id, "study_id": made.study_id, "resources": tuple(resources)}
        self._transaction.execute(insert(vault_record_basis), basis)

    def identify(self, study_id: StudyId, sealed_identity: bytes) -> None:
        row = {"study_id": study_id, "sealed_identity": sealed_identity}
        if not self._transaction.insert_new(tables.vault_study, row):
            mine = update(tables.vault_study).where(tables.vault_study.c.study_id == study_id)
            self._transaction.execute(mine, {"sealed_identity": sealed_identity})

    def input(self, study_id: StudyId, revision: int, model_id: str) -> RecordInput:
        one = and_(_input.study_id == study_id, _input.revision == revision, _input.model_id == model_id)
        row = self._transaction.first(select(*_COLUMNS).where(one))
        if row is None:
            raise Missing("nothing was gathered for this model and revision")
        return RecordInput(*row)

    def last_digests(self, study_id: StudyId) -> dict[str, bytes]:
        """What was withdrawn before it had an answer counts as never gathered, so that it is planned anew."""
        newest = select(func.max(_input.revision)).where(_input.study_id == study_id).scalar_subquery()
        planned = exists().where(
            tables.task.c.study_id == _input.study_id,
            tables.task.c.revision == _input.revision,
            tables.task.c.model_id == _input.model_id,
            tables.task.c.state != "withdrawn",
        )
        mine: Select[tuple[str, bytes]] = select(_input.model_id, _input.digest).where(
            _input.study_id == study_id, _input.revision == newest, planned
        )
        return {row.model_id: bytes(row.digest) for row in self._transaction.all(mine)}

    def basis(self, study_id: StudyId, revision: int) -> Mapping[str, tuple[str, ...]]:
        found = (
            select(_input.model_id, vault_record_basis.c.resources)
            .join(vault_record_basis, vault_record_basis.c.input_id == _input.id)
            .where(_input.study_id == study_id, _input.revision == revision)
        )
        return {row.model_id: tuple(row.resources) for row in self._transaction.all(found)}

    def _lives(self, patient: str) -> bool:
        """Holds the patient until the transaction ends, so that an erasure waits."""
        row = self._transaction.row(_LIVES, {"of_patient": patient})
        return row is not None and row[0] is None


def _new(patient: str, settle_at: datetime, at: datetime) -> dict[str, object]:
    return {
        "id": record_id(patient),
        "study_uid": f"record:{patient}",
        "patient": patient,
        "state": STUDY.initial,
        "revision": 1,
        "priority": "routine",
        "modalities": (),
        "body_parts": (),
        "instance_count": 0,
        "expected_count": None,
        "first_received_at": at,
        "last_received_at": at,
        "settle_at": settle_at,
        "settled_by": None,
        "study_date": None,
        "accession_index": None,
        "study_uid_index": None,
        "kind": "record",
        "again_at": None,
    }
