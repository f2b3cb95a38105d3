"""Recalled model versions as rows (port `Recalls`), and what of the gateway's work rests on a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Select, select

from gateway.domain.ids import ModelId, ReportId, StudyId
from gateway.domain.lifecycle import OPEN_TASK_STATES
from gateway.domain.recall import Recall
from gateway.domain.report import Report
from gateway.storage import tables
from gateway.storage.review_tables import recall
from gateway.storage.transaction import Transaction

_COLUMNS = tuple(recall.c[field.name] for field in fields(Recall))
_REPORT = tuple(tables.report.c[field.name] for field in fields(Report))
_ASKED = ("analysing", "reported")
_task, _study, _report = tables.task.c, tables.study.c, tables.report.c


class SqlRecalls:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, made: Recall) -> Recall:
        known = self.of_models([made.model_id])
        if known or not self._transaction.insert_new(recall, vars(made)):
            return (known or self.of_models([made.model_id]))[0]
        self._transaction.record(
            "model:recall", made.model_id, name=made.model_name, version=made.model_version, reason=made.reason
        )
        return made

    def of_models(self, models: Sequence[ModelId]) -> list[Recall]:
        found = select(*_COLUMNS).where(recall.c.model_id.in_(list(models))).order_by(recall.c.at)
        return [Recall(*row) for row in self._transaction.all(found)]

    def reports_by(self, model_id: ModelId, limit: int, after: ReportId | None = None) -> list[Report]:
        """Reports of studies that the model has answered about, in the order of their ids."""
        answered = select(_task.study_id).where(_task.model_id == model_id, _task.state == "done")
        found: Select[*tuple[Any, ...]] = select(*_REPORT).where(_report.study_id.in_(answered))
        if after is not None:
            found = found.where(_report.id > after)
        return [Report(*row) for row in self._transaction.all(found.order_by(_report.id).limit(limit))]

    def under_way(self, model_id: ModelId, limit: int) -> list[StudyId]:
        """Studies of whose present revision the model still has to say something, reported without it or not yet."""
        waiting = (
            select(_study.id)
            .join(tables.task, (_task.study_id == _study.id) & (_task.revision == _study.revision))
            .where(_task.model_id == model_id, _task.state.in_(OPEN_TASK_STATES), _study.state.in_(_ASKED))
        )
        return [StudyId(row.id) for row in self._transaction.all(waiting.order_by(_study.id).limit(limit))]
