"""Tasks and the findings that they end in, as rows (port `Tasks`).

The attempt number is the fencing token: whoever holds an older one changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, and_, func, insert, or_, select, update

from gateway.domain.errors import Fault, Missing
from gateway.domain.finding import Finding
from gateway.domain.ids import FindingId, StudyId, TaskId
from gateway.domain.lifecycle import OPEN_TASK_STATES, TASK
from gateway.domain.model import ServedModel
from gateway.domain.study import Study
from gateway.domain.task import Task, task_id
from gateway.storage import tables
from gateway.storage.governance_tables import silenced
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

_task = tables.task.c
_finding = tables.finding.c
_COLUMNS = tuple(_task[field.name] for field in fields(Task))
_MAY_RUN = _task.model_id.not_in(silenced)


class SqlTasks:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def plan(self, study: Study, models: Sequence[ServedModel], at: datetime) -> list[Task]:
        """One task for each model; one that is planned already is returned as it stands."""
        return [self._plan(study, model, at) for model in models]

    def get(self, task_id: TaskId) -> Task:
        task = self._find(task_id)
        if task is None:
            raise Missing("no such task")
        return task

    def of_study(self, study_id: StudyId, revision: int) -> list[Task]:
        mine = and_(_task.study_id == study_id, _task.revision == revision)
        return self._tasks(select(*_COLUMNS).where(mine).order_by(_task.created_at, _task.id))

    def claim(self, task_id: TaskId, owner: str, now: datetime, lease_until: datetime) -> Task | None:
        """None for a stopped or recalled model, and for an unknown id: a broker may be older than its database."""
        task = self._find(task_id)
        if task is None or task.state not in OPEN_TASK_STATES:
            return None
        guards = [_task.attempt == task.attempt, _MAY_RUN]
        if task.state == "doing":
            guards.append(_task.lease_until <= now)
        changes = {"attempt": task.attempt + 1, "owner": owner, "lease_until": lease_until}
        claimed = move(
            self._transaction,
            TASK,
            task_id,
            task.state,
            "claim",
            *guards,
            changes=changes,
            details={"attempt": task.attempt + 1, "owner": owner},
        )
        return self.get(task_id) if claimed else None

    def renew(self, task: Task, lease_until: datetime) -> bool:
        held = and_(_task.id == task.id, _task.state == "doing", _task.attempt == task.attempt)
        return self._transaction.execute(update(tables.task).where(held), {"lease_until": lease_until}).rowcount == 1

    def finish(self, task: Task, finding: Finding) -> bool:
        if (finding.task_id, finding.study_id, finding.revision) != (task.id, task.study_id, task.revision):
            raise Fault("the finding is not of this task")
        released = {"lease_until": None, "reason": None}
        if not self._leave(task, "finish", released, {"finding": finding.id, "model": finding.made_by.model_sha256}):
            return False
        self._transaction.execute(insert(tables.finding), _finding_row(finding))
        return True

    def end(
        self, task: Task, event: Literal["refuse", "fail", "release"], reason: str, until: datetime | None = None
    ) -> bool:
        """`until`: a released task is not announced again before."""
        changes: dict[str, Any] = {"lease_until": None, "reason": reason}
        if event == "release":
            changes |= {"owner": None, "published_at": None, "due_at": until or self._transaction.now()}
        return self._leave(task, event, changes, {"reason": reason})

    def set_aside(self, task: Task, reason: str) -> bool:
        changes: dict[str, Any] = {"lease_until": None, "owner": None, "published_at": None}
        changes |= {"due_at": self._transaction.now(), "reason": reason, "retried_at": task.attempt}
        return self._leave(task, "release", changes, {"reason": reason})

    def retry(self, task_id: TaskId) -> bool:
        task = self.get(task_id)
        if (task.state, "retry") not in TASK.moves:
            return False
        changes = {"published_at": None, "due_at": self._transaction.now(), "retried_at": task.attempt, "reason": None}
        return self._leave(task, "retry", changes, {})

    def withdraw_open(self, study_id: StudyId, before_revision: int) -> int:
        is_open = and_(_task.study_id == study_id, _task.revision < before_revision, _task.state.in_(OPEN_TASK_STATES))
        found = self._tasks(select(*_COLUMNS).where(is_open).order_by(_task.id).with_for_update())
        changes = {"lease_until": None, "owner": None}
        return sum(self._leave(task, "withdraw", changes, {"before_revision": before_revision}) for task in found)

    def unheld(self, now: datetime, published_before: datetime, limit: int) -> list[Task]:
        stale = or_(_task.published_at.is_(None), _task.published_at < published_before)
        waiting = and_(_task.state == "todo", _task.due_at <= now, stale)
        abandoned = and_(
            _task.state == "doing", _task.lease_until <= now, or_(stale, _task.published_at < _task.lease_until)
        )
        found = select(*_COLUMNS).where(or_(waiting, abandoned), _MAY_RUN)
        # "stat" comes after "routine" in the alphabet
        return self._tasks(found.order_by(_task.priority.desc(), _task.created_at, _task.id).limit(limit))

    def mark_published(self, task_ids: Sequence[TaskId], at: datetime) -> None:
        if task_ids:
            self._transaction.execute(update(tables.task).where(_task.id.in_(task_ids)), {"published_at": at})

    def findings(self, study_id: StudyId, revision: int) -> list[Finding]:
        mine = and_(_finding.study_id == study_id, _finding.revision == revision)
        rows = self._transaction.all(select(_finding.content).where(mine).order_by(_finding.created_at, _finding.id))
        return [row.content for row in rows]

    def finding(self, finding_id: FindingId) -> Finding:
        row = self._transaction.first(select(_finding.content).where(_finding.id == finding_id))
        if row is None:
            raise Missing("no such finding")
        found: Finding = row.content
        return found

    def count_open(self) -> int:
        counted = select(func.count()).select_from(tables.task).where(_task.state.in_(OPEN_TASK_STATES))
        row = self._transaction.first(counted)
        return 0 if row is None else int(row[0])

    def _plan(self, study: Study, model: ServedModel, at: datetime) -> Task:
        planned = task_id(study.id, study.revision, model.id)
        values = {
            "id": planned,
            "study_id": study.id,
            "revision": study.revision,
            "model_id": model.id,
            "state": TASK.initial,
            "attempt": 0,
            "priority": study.priority,
            "created_at": at,
            "retried_at": 0,
            "due_at": at,
            "shadow": model.state == "shadow",
        }
        if self._transaction.insert_new(tables.task, values):
            told: dict[str, str | int] = {"study": study.id, "revision": study.revision, "model": model.id}
            if values["shadow"]:
                told["shadow"] = True
            self._transaction.record("task:plan", planned, **told)
        return self.get(planned)

    def _leave(
        self, task: Task, event: str, changes: Mapping[str, Any], details: Mapping[str, str | int | None]
    ) -> bool:
        """A move by the holder of the task's present attempt."""
        mine = _task.attempt == task.attempt
        told = {"attempt": task.attempt, **details}
        return move(self._transaction, TASK, task.id, task.state, event, mine, changes=changes, details=told)

    def _find(self, task_id: TaskId) -> Task | None:
        row = self._transaction.first(select(*_COLUMNS).where(_task.id == task_id))
        return None if row is None else Task(*row)

    def _tasks(self, found: Select[*tuple[Any, ...]]) -> list[Task]:
        return [Task(*row) for row in self._transaction.all(found)]


def _finding_row(finding: Finding) -> dict[str, Any]:
    decided = finding.decided
    return {
        "id": finding.id,
        "task_id": finding.task_id,
        "study_id": finding.study_id,
        "revision": finding.revision,
        "decided": decided.name if decided else None,
        "probability": decided.probability if decided else None,
        "created_at": finding.created_at,
        "content": finding,
    }
