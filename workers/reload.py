"""Finds new and changed packages while the worker runs: loaded, proved, announced; then what no longer serves rests.

Why: a hospital promotes a version without stopping what reads its studies. A folder is read only after it has stayed
the same from one look to the next, so that a package that is still being copied is not refused. A package whose
folder disappears is served until the worker ends: only a newer one, or a person, takes a model out of service.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from gateway.config import Settings
from gateway.domain.ids import ModelId
from gateway.ports import Database
from models.registry import BUILT_IN
from models.runtime.decoding import Decode
from workers.engine import Loaded, load_models
from workers.in_service import LOOK_SECONDS, InService, wanted_models

log = logging.getLogger(__name__)
MOST_FILES: Final = 20_000  # that one look takes notice of
Marks = frozenset[tuple[str, int, int, int]]  # path, size, time of change, inode


@dataclass
class Reload:
    """`announce` writes what was loaded as rows; `in_service` lets the registry decide what stays loaded. Used by one
    thread."""

    settings: Settings
    database: Database
    decode: Decode
    loaded: Loaded
    announce: Callable[[Loaded], None]
    in_service: InService
    _known: Marks = field(default=frozenset(), init=False)
    _last: Marks = field(default=frozenset(), init=False)
    _serving: dict[str, ModelId] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._known = self._last = self._look()
        self._serving = {model.name: model.id for model in self.loaded.served}

    def run(self, stop: threading.Event) -> None:
        """Looks again and again until told to stop: at the folders as set, at the registry more often."""
        pause = self.settings.models.reload_seconds
        due = time.monotonic() + pause
        while not stop.wait(min(pause, LOOK_SECONDS) or LOOK_SECONDS):
            try:
                if pause and time.monotonic() >= due:
                    due = time.monotonic() + pause
                    self()
                self.in_service()
            except Exception as error:  # the edge of this loop: the next look may find things in order
                log.warning("packages not looked at", extra={"fields": {"error": type(error).__name__}})

    def __call__(self) -> bool:
        """One look; whether packages were loaded or refused. Those whose server was away are tried at every look."""
        marks, was = self._look(), self._last
        self._last = marks
        if marks != was or (marks == self._known and not self.loaded.again):
            return False
        again = load_models(self.settings, self.decode, self.loaded, wanted_models(self.database))
        told = () if marks != self._known else self.loaded.refused  # tried again, it is refused in silence
        self._known = marks
        self.loaded = again
        self.announce(replace(again, refused=tuple(one for one in again.refused if one not in told)))
        for model in again.served:
            former = self._serving.get(model.name)
            if former is not None and former != model.id:
                self.loaded.shelf.supersede(former)
                self.loaded.records.supersede(former)
            self._serving[model.name] = model.id
        self.in_service.try_again()
        self.in_service()
        return True

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
