"""Searches of pixels for text, as rows (port `PixelTasks`); one for each instance that needs it.

Claimed and ended like the tasks of models: the attempt number is the fencing token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import and_, or_, select, update

from gateway.domain.clearance import Box, MaskedContent, PixelFinding, PixelTask
from gateway.domain.errors import Missing
from gateway.domain.ids import BlobKey, InstanceId, StudyId
from gateway.domain.lifecycle import INSTANCE, OPEN_TASK_STATES, PIXEL_TASK
from gateway.domain.study import Instance, Priority
from gateway.storage import tables
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

_task = tables.pixel_task.c
_COLUMNS = tuple(_task[field.name] for field in fields(PixelTask))


class SqlPixelTasks:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def plan(
        self, instance: Instance, priority: Priority, at: datetime, asked: tuple[Box, ...] | None = None
    ) -> PixelTask:
        values = {
            "id": instance.id,
            "study_id": instance.study_id,
            "state": PIXEL_TASK.initial,
            "attempt": 0,
            "priority": priority,
            "created_at": at,
            "retried_at": 0,
            "due_at": at,
            "asked": asked,
        }
        if not self._transaction.insert_new(tables.pixel_task, values):
            task = self.get(instance.id)
            if (task.state, "retry") in PIXEL_TASK.moves:
                changes = {"published_at": None, "due_at": at, "retried_at": task.attempt, "reason": None}
                self._leave(task, "retry", {**changes, "asked": asked}, {})
        return self.get(instance.id)

    def get(self, instance_id: InstanceId) -> PixelTask:
        task = self._find(instance_id)
        if task is None:
            raise Missing("no search of these pixels was planned")
        return task

    def claim(self, instance_id: InstanceId, owner: str, now: datetime, lease_until: datetime) -> PixelTask | None:
        """An unknown id is nobody's either: a broker may be older than its database."""
        task = self._find(instance_id)
        if task is None or task.state not in OPEN_TASK_STATES:
            return None
        guards = [_task.attempt == task.attempt]
        if task.state == "doing":
            guards.append(_task.lease_until <= now)
        claimed = move(
            self._transaction,
            PIXEL_TASK,
            instance_id,
            task.state,
            "claim",
            *guards,
            changes={"attempt": task.attempt + 1, "owner": owner, "lease_until": lease_until},
            details={"attempt": task.attempt + 1, "owner": owner},
        )
        return self.get(instance_id) if claimed else None

    def renew(self, task: PixelTask, lease_until: datetime) -> bool:
        held = and_(_task.id == task.id, _task.state == "doing", _task.attempt == task.attempt)
        changed = self._transaction.execute(update(tables.pixel_task).where(held), {"lease_until": lease_until})
        return changed.rowcount == 1

    def finish(
        self, task: PixelTask, finding: PixelFinding, masked: MaskedContent | None, preview_key: BlobKey | None
    ) -> bool:
        found = {"finding": finding, "preview_key": preview_key, "lease_until": None, "reason": None}
        told: dict[str, str | int | None] = {"boxes": len(finding.boxes), "provider": finding.provider}
        if not self._leave(task, "finish", found, told):
            return False
        event = "hold" if finding.doubt else "recheck"
        changes: dict[str, Any] = {"clearance_reason": finding.doubt}
        if not finding.doubt:
            changes["pixels"] = "masked" if finding.boxes else "clean"
        if masked is not None:
            changes |= {
                "blob_key": masked.blob_key,
                "size": masked.size,
                "content_digest": masked.digest,
                "transfer_syntax_uid": masked.transfer_syntax_uid,
                "removed_pixels_key": masked.removed_pixels_key,
            }
        move(self._transaction, INSTANCE, task.id, "masking", event, changes=changes, details={"study": task.study_id})
        return True

    def end(
        self, task: PixelTask, event: Literal["release", "fail"], reason: str, until: datetime | None = None
    ) -> bool:
        changes: dict[str, Any] = {"lease_until": None, "reason": reason}
        if event == "release":
            changes |= {"owner": None, "published_at": None, "due_at": until or self._transaction.now()}
        if not self._leave(task, event, changes, {"reason": reason}):
            return False
        if event == "fail":
            why = {"clearance_reason": f"its pixels could not be searched: {reason}"}
            move(self._transaction, INSTANCE, task.id, "masking", "hold", changes=why, details={"study": task.study_id})
        return True

    def withdraw_open(self, study_id: StudyId) -> int:
        is_open = and_(_task.study_id == study_id, _task.state.in_(OPEN_TASK_STATES))
        found = self._transaction.all(select(*_COLUMNS).where(is_open).order_by(_task.id).with_for_update())
        changes = {"lease_until": None, "owner": None}
        return sum(self._leave(PixelTask(*row), "withdraw", changes, {}) for row in found)

    def unheld(self, now: datetime, published_before: datetime, limit: int) -> list[PixelTask]:
        stale = or_(_task.published_at.is_(None), _task.published_at < published_before)
        waiting = and_(_task.state == "todo", _task.due_at <= now, stale)
        abandoned = and_(
            _task.state == "doing", _task.lease_until <= now, or_(stale, _task.published_at < _task.lease_until)
        )
        found = select(*_COLUMNS).where(or_(waiting, abandoned))
        # "stat" comes after "routine" in the alphabet
        ordered = found.order_by(_task.priority.desc(), _task.created_at, _task.id).limit(limit)
        return [PixelTask(*row) for row in self._transaction.all(ordered)]

    def mark_published(self, instance_ids: Sequence[InstanceId], at: datetime) -> None:
        if instance_ids:
            published = update(tables.pixel_task).where(_task.id.in_(instance_ids))
            self._transaction.execute(published, {"published_at": at})

    def _leave(
        self, task: PixelTask, event: str, changes: Mapping[str, Any], details: Mapping[str, str | int | None]
    ) -> bool:
        """A move by the holder of the task's present attempt."""
        mine = _task.attempt == task.attempt
        told = {"attempt": task.attempt, **details}
        return move(self._transaction, PIXEL_TASK, task.id, task.state, event, mine, changes=changes, details=told)

    def _find(self, instance_id: InstanceId) -> PixelTask | None:
        row = self._transaction.first(select(*_COLUMNS).where(_task.id == instance_id))
        return None if row is None else PixelTask(*row)
