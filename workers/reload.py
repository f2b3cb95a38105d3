"""Finds new and changed packages while the worker runs: loaded, proved, announced, then the old version put away.

Why: a hospital promotes a version without stopping what reads its studies. A folder is read only after it has stayed
the same from one look to the next, so that a package that is still being copied is not refused. A package whose
folder disappears is served until the worker ends: only a newer one, or a person, takes a model out of service.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.config import Settings
from gateway.domain.errors import GatewayError
from gateway.domain.ids import ModelId
from gateway.ports import Database
from models.registry import BUILT_IN
from models.runtime.decoding import Decode
from workers.engine import Loaded, load_models

log = logging.getLogger(__name__)
MOST_FILES: Final = 20_000  # that one look takes notice of
Marks = frozenset[tuple[str, int, int, int]]  # path, size, time of change, inode


@dataclass
class Reload:
    """`announce` writes what was loaded as rows. Used by one thread."""

    settings: Settings
    database: Database
    worker: str
    decode: Decode
    loaded: Loaded
    announce: Callable[[Loaded], None]
    _known: Marks = field(default=frozenset(), init=False)
    _last: Marks = field(default=frozenset(), init=False)
    _serving: dict[str, ModelId] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._known = self._last = self._look()
        self._serving = {model.name: model.id for model in self.loaded.served}

    def run(self, stop: threading.Event) -> None:
        """Looks again and again until told to stop."""
        while not stop.wait(self.settings.models.reload_seconds):
            try:
                self()
            except Exception as error:  # the edge of this loop: the next look may find things in order
                log.warning("packages not looked at", extra={"fields": {"error": type(error).__name__}})

    def __call__(self) -> bool:
        """One look; whether a package was loaded or refused."""
        marks, was = self._look(), self._last
        self._last = marks
        if marks == self._known or marks != was:
            self._warm()
            return False
        again = load_models(self.settings, self.decode, self.loaded)
        self._known = marks
        self.loaded = again
        self.announce(again)
        for model in again.served:
            former = self._serving.get(model.name)
            if former is not None and former != model.id:
                self.loaded.shelf.supersede(former)
            self._serving[model.name] = model.id
        return True

    def _warm(self) -> None:
        """A version that was promoted is loaded ahead of its first study, where there is room."""
        try:
            with self.database.read() as unit:
                active = [model.id for model in unit.models.active()]
        except GatewayError:
            return  # the database may be back at the next look
        for model_id in active:
            self.loaded.shelf.warm(model_id)

    def _look(self) -> Marks:
        roots = [BUILT_IN, *(Path(folder).expanduser() for folder in self.settings.models.folders)]
        found: set[tuple[str, int, int, int]] = set()
        for root in roots:
            for path in root.rglob("*"):
                if len(found) >= MOST_FILES:
                    break
                try:
                    told = path.lstat()
                except OSError:
                    continue  # it went away while we looked
                found.add((str(path), told.st_size, told.st_mtime_ns, told.st_ino))
        return frozenset(found)
