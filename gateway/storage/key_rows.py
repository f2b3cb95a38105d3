"""Patients' wrapped keys as rows (port `KeyRows`): which key wraps how many, and the next ones to wrap anew.

A cell begins with the id of the key that wraps it (privacy/sealing.py), so that rows are counted and found by its
first bytes, without opening one. An erased patient has an empty cell, which no key wraps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, func, literal, select, text, update

from gateway.domain.ids import InstanceId
from gateway.ports import Resting, WrappedKeys
from gateway.storage.audit_tables import audit
from gateway.storage.tables import instance, patient, pixel_task, study, vault_patient
from gateway.storage.transaction import Transaction

_CELLS: dict[WrappedKeys, tuple[Table, Column[Any]]] = {
    "objects": (patient, patient.c.wrapped_object_key),
    "identity": (vault_patient, vault_patient.c.sealed_secret),
}
_RESTS_IN: dict[Resting, Table] = {
    "objects": patient,
    "identity": vault_patient,
    "audit": audit,
    "deposits": instance,
}
_COLUMN_VERSION = 1


class SqlKeyRows:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def counts(self, which: WrappedKeys, kids: Sequence[str]) -> Mapping[str, int]:
        table, cell = _CELLS[which]
        return {kid: self._count(select(func.count()).select_from(table).where(_under(cell, kid))) for kid in kids}

    def audit_counts(self) -> Mapping[str, int]:
        found = select(audit.c.key_id, func.count()).group_by(audit.c.key_id)
        return {str(row[0]): int(row[1]) for row in self._transaction.all(found)}

    def outside(self, which: WrappedKeys, kid: str, limit: int, after: str = "") -> list[tuple[str, bytes]]:
        table, cell = _CELLS[which]
        pseudonym = table.c.pseudonym
        found = (
            select(pseudonym, cell)
            .where(pseudonym > after, func.length(cell) > 0, ~_under(cell, kid))
            .order_by(pseudonym)
            .limit(limit)
        )
        return [(str(row[0]), bytes(row[1])) for row in self._transaction.all(found)]

    def rewrap(self, which: WrappedKeys, pseudonym: str, was: bytes, now: bytes) -> bool:
        table, cell = _CELLS[which]
        mine = update(table).where(table.c.pseudonym == pseudonym, cell == was)
        return self._transaction.execute(mine.values({cell.name: now})).rowcount == 1

    def searched_pixels(self, limit: int, after: str = "") -> list[tuple[InstanceId, str, int]]:
        task = pixel_task.c
        found = (
            select(task.id, study.c.patient, task.attempt)
            .join(study, study.c.id == task.study_id)
            .where(task.id > after, task.attempt > 0)
            .order_by(task.id)
            .limit(limit)
        )
        return [(InstanceId(row[0]), str(row[1]), int(row[2])) for row in self._transaction.all(found)]

    def hold(self, what: Resting) -> None:
        """SQLite has one writer anyway; on PostgreSQL a lock waits for those who write and keeps others out.

        One table, by a transaction that holds nothing else and waits for nothing after: no deadlock can include it.
        """
        if self._transaction.is_postgresql:
            self._transaction.execute(text(f"LOCK TABLE {_RESTS_IN[what].name} IN SHARE ROW EXCLUSIVE MODE"))

    def _count(self, counted: Any) -> int:
        row = self._transaction.first(counted)
        return 0 if row is None else int(row[0])


def _under(cell: Column[Any], kid: str) -> ColumnElement[bool]:
    """Whether the cell is sealed under this very key: version, length of the id, id."""
    start = bytes((_COLUMN_VERSION, len(kid.encode()))) + kid.encode()
    return func.substr(cell, 1, len(start)) == literal(start)
