"""Rows of the vault and of the patients' object keys (port `Identities`); all that is in them is sealed.

`object_key` reads the one table of these that a worker's database role may read.
"""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select

from gateway.domain.errors import Conflict, Erased, Missing
from gateway.domain.ids import InstanceId, StudyId
from gateway.ports import PatientRow
from gateway.storage.prepared import Prepared, insert_new
from gateway.storage.tables import instance, patient, vault_instance, vault_patient, vault_study
from gateway.storage.transaction import Transaction

_PATIENT = select(
    vault_patient.c.index,
    vault_patient.c.id_index,
    vault_patient.c.pseudonym,
    vault_patient.c.sealed_secret,
    patient.c.wrapped_object_key,
).join(patient, patient.c.pseudonym == vault_patient.c.pseudonym)

_BY_INDEX = Prepared(_PATIENT.where(vault_patient.c.index == bindparam("of_index")))
_BY_PSEUDONYM = Prepared(_PATIENT.where(vault_patient.c.pseudonym == bindparam("of_pseudonym")))
_ADD_SEALED, _ADD = insert_new(vault_patient), Prepared(insert(patient))


class SqlIdentities:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def find_patient(self, index: bytes) -> PatientRow | None:
        row = self._transaction.row(_BY_INDEX, {"of_index": index})
        return None if row is None else PatientRow(*row)

    def patient(self, pseudonym: str) -> PatientRow | None:
        row = self._transaction.row(_BY_PSEUDONYM, {"of_pseudonym": pseudonym})
        return None if row is None else PatientRow(*row)

    def add_patient(self, row: PatientRow) -> PatientRow:
        sealed = {
            "index": row.index,
            "id_index": row.id_index,
            "pseudonym": row.pseudonym,
            "sealed_secret": row.sealed_secret,
        }
        if self._transaction.run(_ADD_SEALED, sealed) == 1:
            key = {"pseudonym": row.pseudonym, "wrapped_object_key": row.wrapped_object_key}
            self._transaction.run(_ADD, {**key, "erased_at": None, "files_deleted_at": None})
            self._transaction.record("identity:create", row.pseudonym)
            return row
        found = self.find_patient(row.index)
        if found is None:
            raise Conflict("the pseudonym belongs to another patient")
        return found

    def pseudonyms(self, id_index: bytes) -> list[str]:
        mine = vault_patient.c.id_index == id_index
        found = select(vault_patient.c.pseudonym).where(mine).order_by(vault_patient.c.pseudonym)
        return [row.pseudonym for row in self._transaction.all(found)]

    def object_key(self, pseudonym: str) -> bytes:
        """Missing where the patient is unknown, Erased where the key is destroyed."""
        found = select(patient.c.wrapped_object_key).where(patient.c.pseudonym == pseudonym)
        row = self._transaction.first(found)
        if row is None:
            raise Missing("no such patient")
        if not row.wrapped_object_key:
            raise Erased("this patient was erased")
        return bytes(row.wrapped_object_key)

    def study_identity(self, study_id: StudyId) -> bytes:
        """Missing where the study is unknown."""
        found = select(vault_study.c.sealed_identity).where(vault_study.c.study_id == study_id)
        row = self._transaction.first(found)
        if row is None:
            raise Missing("no such study")
        return bytes(row.sealed_identity)

    def original_headers(self, study_id: StudyId) -> list[tuple[InstanceId, bytes]]:
        """Sealed headers of the current instances, in order of arrival."""
        found = (
            select(instance.c.id, vault_instance.c.sealed_original_header)
            .join(vault_instance, vault_instance.c.instance_id == instance.c.id)
            .where(instance.c.study_id == study_id, instance.c.is_current)
            .order_by(instance.c.received_at, instance.c.id)
        )
        return [(InstanceId(row.id), bytes(row.sealed_original_header)) for row in self._transaction.all(found)]
