"""The models of one worker process: which are loaded, within the memory of its device, and who is using them.

Why: several models share one device, and not all may fit. One that is asked for is loaded again, the least recently
used idle one goes first; a new version is loaded before the old one is put away wherever there is room for both.
A model that is in use is never put away. One that no task is expected for rests: it is known, and takes no memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, Generic, Protocol, TypeVar

from gateway.domain.errors import Busy, Missing, Unsupported

log = logging.getLogger(__name__)
PATIENCE: Final = 120.0  # seconds that a task waits for memory that others are using before it is given back
MOST_OLD: Final = 32  # superseded versions that are still known, for tasks planned before


class Loaded(Protocol):
    def close(self) -> None: ...


Model = TypeVar("Model", bound=Loaded)


@dataclass
class _Place(Generic[Model]):
    """A known model. `model` is None while it is put away, `moving` while it is being loaded or put away.

    `holding`: it has its memory, or is given it back only now. `resting`: put away as soon as nobody uses it.
    """

    need: int  # MiB of device memory
    open: Callable[[], Model]
    model: Model | None = None
    users: int = 0
    used: int = 0
    moving: bool = False
    holding: bool = False
    resting: bool = False
    superseded: bool = False
    entered: int = 0

    @property
    def idle(self) -> bool:
        return self.model is not None and self.users == 0 and not self.moving


class Shelf(Generic[Model]):
    """`budget_mib` of device memory for all models together; 0 means that it is not limited."""

    def __init__(self, budget_mib: int = 0) -> None:
        self._budget = budget_mib
        self._places: dict[str, _Place[Model]] = {}
        self._admitting: list[_Place[Model]] = []  # not known yet; the former one of their name still serves
        self._change = threading.Condition()
        self._turn = count(1)

    def known(self) -> frozenset[str]:
        with self._change:
            return frozenset(self._places)

    def loaded(self) -> frozenset[str]:
        with self._change:
            return frozenset(model_id for model_id, place in self._places.items() if place.model is not None)

    def admit(self, model_id: str, need_mib: int, open_model: Callable[[], Model]) -> Model:
        """Loads a model and makes it known; what `open_model` raises is raised, and nothing has changed then.

        Unsupported: it could never be loaded within the budget.
        """
        if self._budget and need_mib > self._budget:
            raise Unsupported(f"it needs {need_mib} MiB of device memory; the budget is {self._budget} MiB")
        place = _Place(need_mib, open_model, users=1, moving=True, entered=next(self._turn))
        with self._change:
            self._admitting.append(place)
        try:
            model = self._fill(place)
            with self._change:
                former = self._places.get(model_id)
                self._places[model_id] = place
        finally:
            with self._change:
                self._admitting.remove(place)
                place.users -= 1
                self._change.notify_all()
        if former is not None:
            former.resting = True
            self._discard(former)
        return model

    @contextmanager
    def use(self, model_id: str) -> Iterator[Model]:
        """The loaded model, which stays for the length of the block. Missing: not known here. Busy: no memory."""
        place = self._entered(model_id)
        try:
            yield self._filled(place)
        finally:
            with self._change:
                place.users -= 1
                place.used = next(self._turn)
                self._change.notify_all()
            if place.resting:
                self._discard(place)

    def keep(self, wanted: Collection[str]) -> bool:
        """From now on tasks are expected for these alone; the others rest. Says whether one was put away."""
        with self._change:
            for model_id, place in self._places.items():
                place.resting = model_id not in wanted
            resting = [place for place in self._places.values() if place.resting]
        return any([self._discard(place) for place in resting])

    def rest(self, model_id: str) -> None:
        """No task is expected for it: put away when idle, and loaded again for one that comes all the same."""
        with self._change:
            place = self._places[model_id]
            place.resting = True
        self._discard(place)

    def warm(self, model_id: str) -> bool:
        """Loads a known model that does not rest, if there is room without putting another away; says whether it is
        loaded."""
        with self._change:
            place = self._places.get(model_id)
            if place is None or place.resting or (place.model is None and self._free() < place.need):
                return False
        with self.use(model_id):
            return True

    def supersede(self, model_id: str) -> None:
        """A newer version is there. Of such ones that rest, all but the last `MOST_OLD` are forgotten."""
        with self._change:
            place = self._places.get(model_id)
            if place is None:
                return
            place.superseded = True
            places = self._places.items()
            old = sorted((p.entered, key) for key, p in places if p.superseded and p.resting and p.users == 0)
            gone = [self._places.pop(key) for _, key in old[: max(0, len(old) - MOST_OLD)]]
        for one in gone:
            self._discard(one)

    def _entered(self, model_id: str) -> _Place[Model]:
        with self._change:
            place = self._places.get(model_id)
            if place is None:
                raise Missing("this worker does not serve the model")
            place.users += 1
            place.used = next(self._turn)
            return place

    def _filled(self, place: _Place[Model]) -> Model:
        """Loads where nobody else is doing it."""
        with self._change:
            if not self._change.wait_for(lambda: not place.moving, PATIENCE):
                raise Busy("the model is still being loaded")
            if place.model is not None:
                return place.model
            place.moving = True
        return self._fill(place)

    def _fill(self, place: _Place[Model]) -> Model:
        """`place` is moving and ours. Makes room, loads; on failure nothing is held."""
        try:
            self._make_room(place)
            started = time.monotonic()
            model = place.model = place.open()
            log.info("model loaded", extra={"fields": {"seconds": round(time.monotonic() - started, 2)}})
            return model
        finally:
            with self._change:
                place.moving, place.holding = False, place.model is not None
                self._change.notify_all()

    def _make_room(self, place: _Place[Model]) -> None:
        """Puts idle models away, the least recently used first, until `place` fits; Busy where they stay in use."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._change:
                if place.need <= self._free():
                    place.holding = True
                    return
                idle = [one for one in self._places.values() if one.idle]
                if not idle:
                    if not self._change.wait(max(0.0, deadline - time.monotonic())):
                        raise Busy("the device's memory is in use by other models")
                    continue
                oldest = min(idle, key=lambda one: one.used)
            self._discard(oldest)

    def _free(self) -> int:
        """MiB; called with the lock held."""
        if not self._budget:
            return 1 << 40
        places = (*self._places.values(), *self._admitting)
        return self._budget - sum(place.need for place in places if place.holding)

    def _discard(self, place: _Place[Model]) -> bool:
        """Puts an idle model away; one that is in use stays until its users have gone."""
        with self._change:
            if not place.idle or place.model is None:
                return False
            model, place.moving = place.model, True
            place.model = None
        try:
            model.close()
        finally:
            with self._change:
                place.moving = place.holding = False
                self._change.notify_all()
        return True
