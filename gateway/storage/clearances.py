"""Whether objects may be read, as a state of their rows (port `Clearances`).

A decision is guarded by the state and the content that it was made about: an object whose pixels were replaced in
between has moved on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, bindparam, func, literal_column, select

from gateway.domain.clearance import Pixels
from gateway.domain.errors import Missing
from gateway.domain.ids import InstanceId, StudyId
from gateway.domain.lifecycle import INSTANCE
from gateway.domain.study import Instance
from gateway.storage import tables
from gateway.storage.arrivals import lock_study, reopen
from gateway.storage.prepared import Prepared
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

_instance = tables.instance.c
_TO_REJECTED: Mapping[str, Sequence[Literal["quarantine", "reject"]]] = {
    "unchecked": ("quarantine", "reject"),
    "masking": ("quarantine", "reject"),
    "held": ("reject",),
    "quarantined": ("reject",),
}
_COLUMNS = tuple(_instance[field.name] for field in fields(Instance))

# in the very words of ix_instance_uncleared: SQLite takes a partial index only where the query repeats its condition
_UNCLEARED: ColumnElement[bool] = literal_column("instance.clearance != 'cleared'")

_UNCHECKED = Prepared(
    select(*_COLUMNS)
    .join(tables.study, tables.study.c.id == _instance.study_id)
    .where(_instance.clearance == "unchecked", _UNCLEARED)
    # "stat" comes after "routine" in the alphabet
    .order_by(tables.study.c.priority.desc(), _instance.received_at, _instance.id)
    .limit(bindparam("most", type_=Integer))
)


class SqlClearances:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, instance_id: InstanceId) -> Instance:
        row = self._transaction.first(select(*_COLUMNS).where(_instance.id == instance_id))
        if row is None:
            raise Missing("no such instance")
        return Instance(*row)

    def unchecked(self, limit: int) -> list[Instance]:
        return [Instance(*row) for row in self._transaction.rows(_UNCHECKED, {"most": limit})]

    def decide(
        self,
        instance: Instance,
        event: Literal["clear", "mask", "hold", "quarantine", "release", "reject", "recheck"],
        reason: str | None = None,
        *,
        pixels: Pixels | None = None,
    ) -> bool:
        changes: dict[str, Any] = {"clearance_reason": reason}
        details: dict[str, str | int | None] = {"study": instance.study_id}
        if pixels is not None:
            changes["pixels"] = details["pixels"] = pixels
        if reason is not None:
            details["reason"] = reason
        if instance.clearance == "unchecked":
            changes["checked_at"] = self._transaction.now()
        decided = move(
            self._transaction,
            INSTANCE,
            instance.id,
            instance.clearance,
            event,
            same={"blob_key": instance.blob_key},
            changes=changes,
            details=details,
        )
        if decided and event == "clear":
            self._admit(instance)
        return decided

    def reject_undecided(self, study_id: StudyId, reason: str) -> int:
        undecided = _instance.study_id == study_id, _instance.clearance.in_(tuple(_TO_REJECTED))
        found = self._transaction.all(select(*_COLUMNS).where(*undecided).order_by(_instance.id).with_for_update())
        for row in found:
            instance = Instance(*row)
            for event in _TO_REJECTED[instance.clearance]:
                self.decide(instance, event, reason)
                instance = replace(instance, clearance=INSTANCE.after(instance.clearance, event))
        return len(found)

    def waiting(self, states: Sequence[str], limit: int, after: InstanceId | None = None) -> list[Instance]:
        found = select(*_COLUMNS).where(_instance.clearance.in_(states), _UNCLEARED, _instance.is_current)
        if after is not None:
            last = select(_instance.received_at).where(_instance.id == after).scalar_subquery()
            found = found.where(
                (_instance.received_at > last) | ((_instance.received_at == last) & (_instance.id > after))
            )
        rows = self._transaction.all(found.order_by(_instance.received_at, _instance.id).limit(limit))
        return [Instance(*row) for row in rows]

    def count(self, state: str, limit: int) -> int:
        found = select(_instance.id).where(_instance.clearance == state, _UNCLEARED, _instance.is_current).limit(limit)
        row = self._transaction.first(select(func.count()).select_from(found.subquery()))
        return 0 if row is None else int(row[0])

    def counts(self, study_id: StudyId) -> Mapping[str, int]:
        found = (
            select(_instance.clearance, func.count())
            .where(_instance.study_id == study_id, _instance.is_current)
            .group_by(_instance.clearance)
        )
        return {str(row[0]): int(row[1]) for row in self._transaction.all(found)}

    def _admit(self, instance: Instance) -> None:
        """A study that settled while the object was not cleared is settled anew, with it."""
        study = lock_study(self._transaction, instance.study_id)
        if study is not None:
            reopen(self._transaction, study)
