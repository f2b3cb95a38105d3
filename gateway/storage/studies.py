"""Studies and their instances as rows (port `Studies`).

What an arriving instance does to its study is in arrivals.py.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Select, bindparam, exists, select

from gateway.domain.errors import Missing
from gateway.domain.ids import StudyId
from gateway.domain.lifecycle import STUDY, UNCLEARED
from gateway.domain.study import Arrival, Evidence, Instance, Scope, Study
from gateway.storage import tables
from gateway.storage.arrivals import STUDY_COLUMNS, lock_study, receive, reopen
from gateway.storage.transaction import AnyRow, Transaction
from gateway.storage.transitions import move

_INSTANCE_COLUMNS = tuple(tables.instance.c[field.name] for field in fields(Instance))
_study = tables.study.c
_IS_UNCLEARED = exists().where(
    tables.instance.c.study_id == _study.id,
    tables.instance.c.is_current,
    tables.instance.c.clearance.in_(UNCLEARED),
)
_BY_ID = select(*STUDY_COLUMNS).where(_study.id == bindparam("study_id"))


class SqlStudies:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def receive(self, arrival: Arrival, settle_at: datetime, at: datetime) -> Literal["new", "duplicate"]:
        """Conflict where the study is purged or belongs to another patient."""
        return receive(self._transaction, arrival, settle_at, at)

    def get(self, study_id: StudyId) -> Study:
        row = self._transaction.first(_BY_ID, {"study_id": study_id})
        if row is None:
            raise Missing("no such study")
        return Study(*row)

    def lock(self, study_id: StudyId) -> Study:
        study = lock_study(self._transaction, study_id)
        if study is None:
            raise Missing("no such study")
        return study

    def instances(self, study_id: StudyId) -> list[Instance]:
        instance = tables.instance.c
        found = (
            select(*_INSTANCE_COLUMNS)
            .where(instance.study_id == study_id, instance.is_current)
            .order_by(instance.received_at, instance.id)
        )
        return [Instance(*row) for row in self._transaction.all(found)]

    def scopes(self, study_id: StudyId, modalities: Collection[str]) -> list[Scope]:
        instance = tables.instance.c
        found = select(*(instance[field.name] for field in fields(Scope))).where(
            instance.study_id == study_id, instance.is_current, instance.modality.in_(sorted(modalities))
        )
        return [Scope(*row) for row in self._transaction.all(found)]

    def due(self, now: datetime, limit: int) -> list[Study]:
        return self._studies(
            select(*STUDY_COLUMNS)
            .where(_study.kind == "images", _study.state == "receiving", _study.settle_at <= now, ~_IS_UNCLEARED)
            .order_by(_study.settle_at, _study.id)
            .limit(limit)
        )

    def settle(self, study: Study, evidence: Evidence) -> bool:
        return move(
            self._transaction,
            STUDY,
            study.id,
            "receiving",
            "settle",
            _study.revision == study.revision,
            _study.instance_count == study.instance_count,
            _study.last_received_at == study.last_received_at,
            changes={"settled_by": evidence},
            details={"evidence": evidence, "revision": study.revision, "instances": study.instance_count},
        )

    def move(self, study_id: StudyId, was: str, event: str) -> bool:
        return move(self._transaction, STUDY, study_id, was, event)

    def reopen(self, study: Study) -> bool:
        return reopen(self._transaction, study)

    def newest(self, limit: int, before: datetime | None = None) -> list[Study]:
        """Last received first; `before` is the `last_received_at` of the last row of the page before."""
        found = select(*STUDY_COLUMNS).order_by(_study.last_received_at.desc(), _study.id.desc()).limit(limit)
        if before is not None:
            found = found.where(_study.last_received_at < before)
        return self._studies(found)

    def ids_by_accession(self, index: bytes, patient: str | None = None) -> list[StudyId]:
        """Of one patient where a pseudonym is given: accession numbers are not unique."""
        mine = () if patient is None else (_study.patient == patient,)
        return self._ids(_study.accession_index, index, *mine)

    def ids_by_study_uid(self, index: bytes) -> list[StudyId]:
        return self._ids(_study.study_uid_index, index)

    def ids_by_patient(self, pseudonym: str) -> list[StudyId]:
        return self._ids(_study.patient, pseudonym)

    def _ids(self, column: Column[Any], value: bytes | str, *others: ColumnElement[bool]) -> list[StudyId]:
        found = select(_study.id).where(column == value, *others).order_by(_study.id)
        return [StudyId(row.id) for row in self._transaction.all(found)]

    def _studies(self, found: Select[*tuple[Any, ...]]) -> list[Study]:
        rows: list[AnyRow] = list(self._transaction.all(found))
        return [Study(*row) for row in rows]
