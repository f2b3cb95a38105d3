"""Erasing a patient, as rows (port `Erasures`): identity, secret and object key go in one transaction.

What stays tells that something was here and nothing of whom: pseudonymous rows whose pseudonyms nobody can compute
again. GDPR article 17; the order of locks (patient, then studies) is the one of a receiving transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, select, update

from gateway.domain.errors import Erased, Missing
from gateway.domain.finding import Finding
from gateway.domain.ids import BlobKey
from gateway.domain.study import Study
from gateway.storage import tables
from gateway.storage.arrivals import STUDY_COLUMNS
from gateway.storage.record_tables import record_input, vault_record_basis
from gateway.storage.transaction import Transaction

_patient, _study, _instance = tables.patient.c, tables.study.c, tables.instance.c


class SqlErasures:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def begin(self, pseudonym: str) -> list[Study]:
        mine = select(_patient.erased_at).where(_patient.pseudonym == pseudonym).with_for_update()
        row = self._transaction.first(mine)
        if row is None:
            raise Missing("no such patient")
        if row.erased_at is not None:
            raise Erased("this patient was erased already")
        studies = select(*STUDY_COLUMNS).where(_study.patient == pseudonym).order_by(_study.id).with_for_update()
        return [Study(*found) for found in self._transaction.all(studies)]

    def destroy(self, pseudonym: str, at: datetime) -> int:
        studies = select(_study.id).where(_study.patient == pseudonym)
        instances = select(_instance.id).where(_instance.study_id.in_(studies))
        headers, of_study, of_patient = tables.vault_instance, tables.vault_study, tables.vault_patient
        gone = self._transaction.execute(delete(headers).where(headers.c.instance_id.in_(instances))).rowcount
        self._transaction.execute(delete(of_study).where(of_study.c.study_id.in_(studies)))
        self._transaction.execute(delete(vault_record_basis).where(vault_record_basis.c.study_id.in_(studies)))
        unnamed = {"accession_index": None, "study_uid_index": None}
        self._transaction.execute(update(tables.study).where(_study.patient == pseudonym).values(unnamed))
        self._transaction.execute(delete(of_patient).where(of_patient.c.pseudonym == pseudonym))
        emptied = update(tables.patient).where(_patient.pseudonym == pseudonym)
        self._transaction.execute(emptied.values(wrapped_object_key=b"", erased_at=at))
        return gone

    def unfinished(self, limit: int) -> list[str]:
        left = _patient.erased_at.is_not(None) & _patient.files_deleted_at.is_(None)
        found = select(_patient.pseudonym).where(left).order_by(_patient.erased_at, _patient.pseudonym).limit(limit)
        return [str(row[0]) for row in self._transaction.all(found)]

    def blob_keys(self, pseudonym: str) -> list[BlobKey]:
        studies = select(_study.id).where(_study.patient == pseudonym)
        instance, task, finding = tables.instance, tables.pixel_task, tables.finding
        keys = self._keys(select(instance.c.blob_key).where(instance.c.study_id.in_(studies)))
        keys += self._keys(select(instance.c.removed_pixels_key).where(instance.c.study_id.in_(studies)))
        keys += self._keys(select(record_input.c.blob_key).where(record_input.c.study_id.in_(studies)))
        keys += self._keys(select(task.c.preview_key).where(task.c.study_id.in_(studies)))
        for row in self._transaction.all(select(finding.c.content).where(finding.c.study_id.in_(studies))):
            content: Finding = row.content
            keys += [BlobKey(image.heat_map) for image in content.images if image.heat_map]
        return keys

    def finish(self, pseudonym: str, at: datetime) -> None:
        done = update(tables.patient).where(_patient.pseudonym == pseudonym)
        self._transaction.execute(done.values(files_deleted_at=at))

    def _keys(self, found: Select[*tuple[Any, ...]]) -> list[BlobKey]:
        return [BlobKey(row[0]) for row in self._transaction.all(found) if row[0]]
