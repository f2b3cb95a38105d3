"""Micro-batches: items of many tasks meet in one queue per model, and one owner thread runs them together.

Why: a GPU answers thirty-two images in little more than the time of one, and a session is safest with one owner.
Urgent items go first; a batch waits a bounded time and only while somebody is still preparing an item; a batch that
fails is cut in halves, so that an item that breaks the model fails alone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from gateway.domain.errors import Busy, Fault, GatewayError, Unavailable

log = logging.getLogger(__name__)
PATIENCE: Final = 60.0  # seconds that a task waits for a place in the queue before it is given back
SOUND: Final = 100
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """`most` items run together; one waits `wait_seconds` for company; `capacity` items may wait; `owners` run."""

    most: int = 1
    wait_seconds: float = 0.0
    capacity: int = 256
    owners: int = 1


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    group: Hashable
    urgent: bool
    since: float
    future: Future[Result] = field(default_factory=Future)


class Feeder(Generic[Item, Result]):
    """One task's hand in the queue: `submit` while it prepares, `wait` where it can do nothing but wait."""

    def __init__(self, batcher: Batcher[Item, Result], urgent: bool) -> None:
        self._batcher = batcher
        self._urgent = urgent

    def submit(self, item: Item, group: Hashable = None) -> Future[Result]:
        """Items of one `group` have one shape and may run together. Busy where the queue stays full."""
        return self._batcher.enqueue(item, group, urgent=self._urgent)

    def wait(self, future: Future[Result]) -> Result:
        """The result, or what the model raised for this item alone."""
        with self._batcher.resting():
            return future.result()


class Batcher(Generic[Item, Result]):
    """`run` takes up to `limits.most` items of one group and answers in their order; only the owners call it."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        limits: Limits,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._limits = limits
        self._most = limits.most
        self._clock = clock
        self._change = threading.Condition()
        self._urgent: deque[_Waiting[Item, Result]] = deque()
        self._routine: deque[_Waiting[Item, Result]] = deque()
        self._sound = 0  # full batches since the limit was lowered
        self._feeding = 0
        self._closed = False
        self.sizes: deque[int] = deque(maxlen=1024)  # of the latest batches, for measurements
        self._owners = [
            threading.Thread(target=self._own, name=f"owner-{number}-{name}", daemon=True)
            for number in range(limits.owners)
        ]
        for owner in self._owners:
            owner.start()

    @property
    def most(self) -> int:
        """Items that run together now; for a while less than the limit after one that was too large for the device."""
        return self._most

    @contextmanager
    def feeding(self, *, urgent: bool = False) -> Iterator[Feeder[Item, Result]]:
        """While somebody feeds, a batch that is not full may wait for it."""
        self._count(+1)
        try:
            yield Feeder(self, urgent)
        finally:
            self._count(-1)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Within `feeding`: nothing will come from here before a result is there."""
        self._count(-1)
        try:
            yield
        finally:
            self._count(+1)

    def enqueue(self, item: Item, group: Hashable, *, urgent: bool) -> Future[Result]:
        """Busy where no place becomes free in time, Unavailable where the model has been put away."""
        waiting: _Waiting[Item, Result] = _Waiting(item, group, urgent, self._clock())
        with self._change:
            # an urgent one waits behind nobody for its place; its own feeder bounds how many there are
            if not self._change.wait_for(lambda: urgent or self._closed or self._has_room(), PATIENCE):
                raise Busy("the model's queue is full")
            if self._closed:
                raise Unavailable("the model has been put away")
            (self._urgent if urgent else self._routine).append(waiting)
            self._change.notify_all()
        return waiting.future

    def close(self) -> None:
        """No new items; what waits is answered first."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for owner in self._owners:
            owner.join()

    def _count(self, change: int) -> None:
        with self._change:
            self._feeding += change
            self._change.notify_all()

    def _has_room(self) -> bool:
        return self._length() < self._limits.capacity

    def _length(self) -> int:
        return len(self._urgent) + len(self._routine)

    def _own(self) -> None:
        while (batch := self._next()) is not None:
            self._answer(batch)

    def _next(self) -> list[_Waiting[Item, Result]] | None:
        """The next batch, or None where the queue is closed and empty."""
        with self._change:
            while True:
                self._change.wait_for(lambda: self._closed or self._length() > 0)
                if self._length() == 0:
                    return None
                pause = self._pause()
                if pause <= 0:
                    return self._taken()
                self._change.wait(pause)

    def _pause(self) -> float:
        """Seconds that the batch may still wait for company; an urgent item never waits."""
        if self._urgent or self._closed or self._feeding == 0 or self._length() >= self._most:
            return 0.0
        return self._routine[0].since + self._limits.wait_seconds - self._clock()

    def _taken(self) -> list[_Waiting[Item, Result]]:
        """Up to `most` items of the group of the first, urgent ones before all others."""
        group = (self._urgent or self._routine)[0].group
        batch: list[_Waiting[Item, Result]] = []
        for queue in (self._urgent, self._routine):
            kept: list[_Waiting[Item, Result]] = []
            while queue and len(batch) < self._most:
                one = queue.popleft()
                (batch if one.group == group else kept).append(one)
            queue.extendleft(reversed(kept))
        self._change.notify_all()  # there is room again
        return batch

    def _answer(self, batch: Sequence[_Waiting[Item, Result]]) -> bool:
        """Whether every item got its result."""
        try:
            results = self._run([one.item for one in batch])
            if len(results) != len(batch):
                raise Fault(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301 - one way out for all
        except Exception as error:
            return self._answer_apart(batch, error)
        self.sizes.append(len(batch))
        self._grow(len(batch))
        for one, result in zip(batch, results, strict=True):
            one.future.set_result(result)
        return True

    def _grow(self, size: int) -> None:
        """After `SOUND` full batches a limit that had been lowered is raised again: what was short may be there now."""
        if size < self._most or self._most == self._limits.most:
            return
        self._sound += 1
        if self._sound >= SOUND:
            self._sound, self._most = 0, min(2 * self._most, self._limits.most)

    def _answer_apart(self, batch: Sequence[_Waiting[Item, Result]], error: Exception) -> bool:
        """Halves, down to the single item that is to blame; where none is, the batch was too large."""
        told = error if isinstance(error, GatewayError) else Fault(f"the model failed ({type(error).__name__})")
        if len(batch) == 1 or not isinstance(told, Fault):  # a server that is out is so for every item
            for one in batch:
                one.future.set_exception(told)
            return False
        middle = len(batch) // 2
        sound = [self._answer(half) for half in (batch[:middle], batch[middle:])]
        if all(sound):
            self._most, self._sound = max(1, min(self._most, middle)), 0
            log.warning("batch too large", extra={"fields": {"items": len(batch), "most": self._most}})
        return all(sound)
