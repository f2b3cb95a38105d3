"""The models that workers have announced, as rows (port `Models`).

Where signed models activate themselves, the last announcement decides which version of a name is active, so that
starting workers of an older release rolls back; elsewhere, and once a person has decided about any version of a
name, `dxgate model promote|retire|rollback` decides.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

from sqlalchemy import Select, or_, select, update

from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import ModelId
from gateway.domain.lifecycle import OPEN_TASK_STATES
from gateway.domain.model import ServedModel
from gateway.storage import tables
from gateway.storage.governance_tables import model_stop, silenced
from gateway.storage.review_tables import recall
from gateway.storage.transaction import MODEL_LOCK, Transaction

_model = tables.model.c
_COLUMNS = tuple(_model[field.name] for field in fields(ServedModel))
_OURS = (_model.state, _model.decided_by, _model.activated_at)  # which no announcement changes


class SqlModels:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def announce(self, model: ServedModel) -> None:
        """An announcement that is not `active` refreshes a known model and leaves its state as it is."""
        self._transaction.serialize(MODEL_LOCK)
        known = self._transaction.first(select(*_OURS).where(_model.id == model.id))
        was = known.state if known else "draft" if model.state == "active" else model.state
        values = {field.name: getattr(model, field.name) for field in fields(ServedModel)} | {"state": was}
        if known is not None:
            values |= {"decided_by": known.decided_by, "activated_at": known.activated_at}
        if known is None:
            self._transaction.execute(tables.model.insert(), values)
        else:
            self._transaction.execute(update(tables.model).where(_model.id == model.id).values(values))
        self._transaction.record(
            "model:announce",
            model.id,
            name=model.name,
            version=model.version,
            sha256=model.sha256,
            provider=model.provider,
        )
        wanted = model.state == "active" and was != "active"
        if wanted and not (self._is_recalled(model.id) or self._is_stopped(model.id) or self._decided(model.name)):
            self._activate(model)

    def activate(self, model_id: str) -> bool:
        self._transaction.serialize(MODEL_LOCK)
        model = self.get(model_id)
        if model.state == "active":
            return False
        if self._is_recalled(model.id):
            raise Conflict("the model was recalled and cannot be active again; a corrected one has another version")
        if self._is_stopped(model.id):  # it would take the place of one that answers
            raise Conflict("the model is stopped; resume it first")
        self._activate(model)
        self._decide(model)
        return True

    def retire(self, model_id: str) -> bool:
        return self._take_out(model_id, "retired") is not None

    def decide(self, model_id: str, state: Literal["shadow", "retired"]) -> bool:
        model = self._take_out(model_id, state)
        if model is not None:
            self._decide(model)
        return model is not None

    def previous(self, name: str) -> ServedModel:
        barred = _model.id.in_(silenced)
        mine = (_model.name == name, _model.state != "active", _model.activated_at.is_not(None), ~barred)
        found = self._models(select(*_COLUMNS).where(*mine).order_by(_model.activated_at.desc()).limit(1))
        if not found:
            raise Missing("no other version, neither stopped nor recalled, has ever been active")
        return found[0]

    def running(self) -> list[ServedModel]:
        wanted = _model.state.in_(("active", "shadow"))
        return self._models(select(*_COLUMNS).where(wanted).order_by(_model.name, _model.id))

    def wanted(self) -> frozenset[ModelId]:
        planned = select(tables.task.c.model_id).where(tables.task.c.state.in_(OPEN_TASK_STATES))
        asked = or_(_model.state.in_(("active", "shadow")), _model.id.in_(planned))
        return frozenset(row.id for row in self._transaction.all(select(_model.id).where(asked)))

    def active(self) -> list[ServedModel]:
        return self._models(select(*_COLUMNS).where(_model.state == "active").order_by(_model.name))

    def get(self, model_id: str) -> ServedModel:
        found = self._models(select(*_COLUMNS).where(_model.id == model_id))
        if not found:
            raise Missing("no such model")
        return found[0]

    def all(self) -> list[ServedModel]:
        return self._models(select(*_COLUMNS).order_by(_model.name, _model.announced_at, _model.id))

    def _take_out(self, model_id: str, state: Literal["shadow", "retired"]) -> ServedModel | None:
        """The model as it was; None where it is in that state already."""
        self._transaction.serialize(MODEL_LOCK)
        model = self.get(model_id)
        if model.state == state:
            return None
        self._set_state(model.id, state)
        event = {"shadow": "model:shadow", "retired": "model:retire"}[state]
        self._transaction.record(event, model.id, name=model.name, version=model.version, was=model.state)
        return model

    def _activate(self, model: ServedModel) -> None:
        others = select(_model.id).where(_model.name == model.name, _model.state == "active")
        for row in self._transaction.all(others):
            self._set_state(row.id, "retired")
            self._transaction.record("model:retire", row.id, by=model.id)
        self._set_state(model.id, "active", activated_at=self._transaction.now())
        self._transaction.record("model:activate", model.id, name=model.name, version=model.version)

    def _is_recalled(self, model_id: str) -> bool:
        return self._transaction.first(select(recall.c.model_id).where(recall.c.model_id == model_id)) is not None

    def _is_stopped(self, model_id: str) -> bool:
        stop = select(model_stop.c.model_id).where(model_stop.c.model_id == model_id)
        return self._transaction.first(stop) is not None

    def _set_state(self, model_id: str, state: str, **more: Any) -> None:
        self._transaction.execute(update(tables.model).where(_model.id == model_id), {"state": state, **more})

    def _decide(self, model: ServedModel) -> None:
        decided = update(tables.model).where(_model.id == model.id)
        self._transaction.execute(decided, {"decided_by": self._transaction.actor})

    def _decided(self, name: str) -> bool:
        """Whether a person has decided about any version of this name."""
        decided = select(_model.id).where(_model.name == name, _model.decided_by.is_not(None)).limit(1)
        return self._transaction.first(decided) is not None

    def _models(self, found: Select[*tuple[Any, ...]]) -> list[ServedModel]:
        return [ServedModel(*row) for row in self._transaction.all(found)]
