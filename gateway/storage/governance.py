"""Stops and approvals of models as rows (port `Governance`), and what models have said, for whoever watches them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, func, insert, or_, select, update

from gateway.domain.acceptance import Acceptance
from gateway.domain.finding import Finding
from gateway.domain.governance import Approval, Stop
from gateway.domain.ids import ModelId, StudyId
from gateway.domain.lifecycle import OPEN_TASK_STATES
from gateway.domain.model import ServedModel, model_id
from gateway.storage import tables
from gateway.storage.governance_tables import acceptance, model_approval, model_stop, silenced
from gateway.storage.transaction import MODEL_LOCK, AnyRow, Transaction

_STOP = tuple(model_stop.c[field.name] for field in fields(Stop))
_APPROVAL = tuple(model_approval.c[field.name] for field in fields(Approval))
_ACCEPTANCE = tuple(acceptance.c[field.name] for field in fields(Acceptance))
_task, _finding, _study, _report = tables.task.c, tables.finding.c, tables.study.c, tables.report.c
_PAGE = 200  # findings that are in memory at a time; one of a large study has thousands of images


class SqlGovernance:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def stop(self, made: Stop) -> bool:
        self._transaction.serialize(MODEL_LOCK)
        if not self._transaction.insert_new(model_stop, vars(made)):
            return False
        self._transaction.record("model:stop", made.model_id, reason=made.reason)
        return True

    def resume(self, model_id: ModelId) -> bool:
        self._transaction.serialize(MODEL_LOCK)
        if self._transaction.execute(delete(model_stop).where(model_stop.c.model_id == model_id)).rowcount != 1:
            return False
        self._transaction.record("model:resume", model_id)
        ring_again = update(tables.task).where(_task.model_id == model_id, _task.state == "todo")
        self._transaction.execute(ring_again, {"published_at": None})
        return True

    def stopped(self) -> frozenset[ModelId]:
        self._transaction.hold_off(MODEL_LOCK)
        return frozenset(ModelId(row[0]) for row in self._transaction.all(silenced))

    def stop_of(self, model_id: ModelId) -> Stop | None:
        row = self._transaction.first(select(*_STOP).where(model_stop.c.model_id == model_id))
        return None if row is None else Stop(*row)

    def stops(self) -> list[Stop]:
        return [Stop(*row) for row in self._transaction.all(select(*_STOP).order_by(model_stop.c.at))]

    def waiting(self) -> dict[ModelId, int]:
        counted = select(_task.model_id, func.count()).where(_task.state.in_(OPEN_TASK_STATES))
        return {ModelId(row[0]): int(row[1]) for row in self._transaction.all(counted.group_by(_task.model_id))}

    def approve(self, made: Approval) -> Approval | None:
        self._transaction.serialize(MODEL_LOCK)
        if self._transaction.insert_new(model_approval, vars(made)):
            self._transaction.record("model:approve", made.model_id)
            return None
        row = self._transaction.first(select(*_APPROVAL).where(model_approval.c.model_id == made.model_id))
        return None if row is None else Approval(*row)

    def approvals(self) -> list[Approval]:
        return [Approval(*row) for row in self._transaction.all(select(*_APPROVAL).order_by(model_approval.c.at))]

    def withdraw_approval(self, model_id: ModelId) -> None:
        self._transaction.execute(delete(model_approval).where(model_approval.c.model_id == model_id))

    def accept(self, made: Acceptance) -> None:
        self._transaction.execute(insert(acceptance), vars(made))
        told: dict[str, str | int | list[str]] = {"name": made.name, "version": made.version, "sha256": made.sha256}
        told |= {"data_sha256": made.data_sha256, "verdict": made.verdict, "scored": made.scored}
        told |= {"refused": made.refused, "missed": list(made.missed[:10])}
        self._transaction.record("model:accept", model_id(made.name, made.version, made.sha256), **told)

    def acceptances(self, model: ServedModel, limit: int = 20, *, judged: bool = False) -> list[Acceptance]:
        kept = acceptance.c
        mine = [kept.name == model.name, kept.version == model.version, kept.sha256 == model.sha256]
        if judged:
            mine.append(kept.verdict != "measured")
        found = select(*_ACCEPTANCE).where(*mine).order_by(kept.at.desc(), kept.id.desc()).limit(limit)
        return [Acceptance(*row) for row in self._transaction.all(found)]

    def answers(self, since: datetime, before: datetime) -> Iterator[tuple[Finding, bool]]:
        found = select(_finding.id, _task.shadow).join(tables.task, _task.id == _finding.task_id)
        shadows = {row.id: bool(row.shadow) for row in self._by_lot(found, since, before)}
        yield from ((finding, shadows[finding.id]) for finding in self._opened([*shadows]))

    def sample(self, model_id: ModelId, since: datetime, before: datetime, limit: int) -> Iterator[Finding]:
        found = select(_finding.id).join(tables.task, _task.id == _finding.task_id).where(_task.model_id == model_id)
        return self._opened([row.id for row in self._by_lot(found.limit(limit), since, before)])

    def _by_lot(self, found: Select[Any], since: datetime, before: datetime) -> Sequence[AnyRow]:
        """Their ids are digests. Ordered by a term that no index has: the primary key would be walked through years."""
        of_time = found.where(_finding.created_at >= since, _finding.created_at < before)
        return self._transaction.all(of_time.order_by(_finding.id + ""))

    def _opened(self, ids: Sequence[str]) -> Iterator[Finding]:
        for start in range(0, len(ids), _PAGE):
            page = select(_finding.content).where(_finding.id.in_(ids[start : start + _PAGE])).order_by(_finding.id)
            yield from (row.content for row in self._transaction.all(page))

    def left_out(self, model_id: ModelId, since: datetime, limit: int) -> list[StudyId]:
        """Of their present revision; a signed report is not written again, so its study is none of them."""
        mine = and_(_task.model_id == model_id, _task.state == "done", _task.shadow.is_(False))
        written = and_(_report.updated_at >= since, _report.status.in_(("preliminary", "cancelled")))
        found = (
            select(_study.id)
            .join(tables.task, and_(_task.study_id == _study.id, _task.revision == _study.revision))
            .join(tables.report, _report.study_id == _study.id)
            .where(mine, or_(_study.state == "analysing", and_(_study.state == "reported", written)))
        )
        return [StudyId(row.id) for row in self._transaction.all(found.order_by(_study.id).limit(limit))]

    def ends(self, since: datetime, before: datetime) -> list[tuple[ModelId, str, int]]:
        planned = and_(_task.created_at >= since, _task.created_at < before)
        counted = select(_task.model_id, _task.state, func.count()).where(planned)
        rows = self._transaction.all(counted.group_by(_task.model_id, _task.state).order_by(_task.model_id))
        return [(ModelId(row[0]), str(row[1]), int(row[2])) for row in rows]
