"""Which models a worker holds: those that the registry lets run, and those that an open task was planned for.

Why: people promote and retire while workers run. A promoted version is loaded ahead of its first study, where there is
room; a retired one, and a draft, takes no memory. What cannot be loaded is named in the log and the audit trail, once.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.errors import GatewayError
from gateway.domain.ids import ModelId
from gateway.ports import Database
from gateway.readiness import give_back_memory
from models.runtime.predict import Predictor
from workers.engine import MAY_PASS
from workers.record_engine import Answering
from workers.shelf import Shelf

log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 5.0  # between two looks at the registry


def wanted_models(database: Database) -> frozenset[ModelId]:
    """What tasks may come for, by the registry."""
    with database.read() as unit:
        return unit.models.wanted()


@dataclass
class InService:
    """One look at the registry, by whichever thread has reason to."""

    database: Database
    worker: str
    shelf: Shelf[Predictor]
    records: Shelf[Answering]
    _told: dict[ModelId, str] = field(default_factory=dict, init=False)  # why a model could not be loaded
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __call__(self) -> None:
        """Nothing changes where the database does not answer; it may be back at the next look."""
        try:
            wanted = wanted_models(self.database)
        except GatewayError:
            return
        with self._turn:
            put_away = [shelf.keep(wanted) for shelf in (self.shelf, self.records)]
            for model_id in sorted(wanted):
                self._load(model_id)
            self._told = {model_id: why for model_id, why in self._told.items() if model_id in wanted}
        if any(put_away):
            give_back_memory()

    def try_again(self) -> None:
        """The folders have changed: what could not be loaded perhaps can be."""
        with self._turn:
            self._told.clear()

    def _load(self, model_id: ModelId) -> None:
        if model_id in self._told:
            return
        try:
            self.shelf.warm(model_id)
            self.records.warm(model_id)
        except GatewayError as error:
            if error.category not in MAY_PASS:
                self._refuse(model_id, str(error))

    def _refuse(self, model_id: ModelId, reason: str) -> None:
        with self.database.begin(self.worker) as unit:
            name = unit.models.get(model_id).name
            log.error("model refused", extra={"fields": {"package": name, "reason": reason}})
            unit.audit.record("model:refuse", name, self.worker, reason=reason)
            unit.commit()
        self._told[model_id] = reason
