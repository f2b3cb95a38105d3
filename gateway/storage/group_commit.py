"""Many small writes in one transaction, each answered when that transaction is durable (port `GroupCommit`).

A commit costs one flush of the disk, whatever it holds: while one is flushed, the next writes gather. A write that
fails fails alone; the others of its batch are run again without it, so a write must be one that can be run again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.domain.errors import Busy, Fault, GatewayError, Unavailable
from gateway.ports import UnitOfWork
from gateway.storage.database import SqlDatabase
from gateway.storage.unit_of_work import SqlUnitOfWork

T = TypeVar("T")

_LINGER_SECONDS = 0.05
_TRIES = 3  # a write that PostgreSQL has picked as the victim of a deadlock goes into the next batch


@dataclass
class _Waiting:
    write: Callable[[UnitOfWork], Any]
    lingers_until: float = 0.0  # the committing thread does not begin a batch before, for this write's sake
    answer: Future[Any] = field(default_factory=Future)
    tries: int = 0


class GroupCommitter:
    """One committing thread over `database`, in the name of `actor`; started by the first `submit`."""

    def __init__(
        self,
        database: SqlDatabase,
        actor: str,
        *,
        max_batch: int = 64,
        max_waiting: int = 1024,
        timeout_seconds: float = 60.0,
    ) -> None:
        self._database = database
        self._actor = actor
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._timeout = timeout_seconds
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def submit(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> T:
        """What `write` returned, once it is durable; or the error it raised.

        One that lingers waits a moment for others to share its transaction with, as nobody is kept waiting by it.
        Busy where the queue is full; Unavailable where the commit failed, or did not end in time and may yet.
        """
        waiting = self.later(write, lingering=lingering)
        try:
            return waiting.result(self._timeout)
        except TimeoutError:
            waiting.cancel()
            raise Unavailable("the database has not committed in time") from None

    def later(self, write: Callable[[UnitOfWork], T], *, lingering: bool = False) -> Future[T]:
        """The same, to be waited for without a thread; a future that is cancelled in time is not written."""
        waiting = _Waiting(write, time.monotonic() + _LINGER_SECONDS if lingering else 0.0)
        with self._changed:
            self._admit(waiting)
        return waiting.answer

    def stop(self) -> None:
        """Commits what has been submitted, refuses the rest and returns when the thread has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _admit(self, waiting: _Waiting) -> None:
        if self._stopping:
            raise Unavailable("the gateway is stopping")
        if len(self._waiting) >= self._max_waiting:
            raise Busy("too many writes are waiting for the database")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
            self._thread.start()
        self._waiting.append(waiting)
        self._changed.notify()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._commit(batch)
            except GatewayError as error:
                _fail(batch, error)
            except Exception as error:  # the thread must outlive a mistake in any write
                _fail(batch, Fault(f"the commit raised {type(error).__name__}"))

    def _next_batch(self) -> list[_Waiting]:
        """Waits for writes; empty only when stopped and drained."""
        batch: list[_Waiting] = []
        with self._changed:
            while not batch:
                while not self._stopping and (pause := self._pause()) is not None:
                    self._changed.wait(pause or None)
                if not self._waiting:
                    return []
                size = min(self._max_batch, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(size)]
                batch = [waiting for waiting in taken if _is_wanted(waiting)]
        return batch

    def _pause(self) -> float | None:
        """None where a batch is to begin now; else how long it may be put off, 0 meaning until there is a write."""
        if not self._waiting:
            return 0.0
        left = min(waiting.lingers_until for waiting in self._waiting) - time.monotonic()
        return left if left > 0 else None

    def _commit(self, batch: list[_Waiting]) -> None:
        """All writes in one transaction; only where one fails are all run again, each in a savepoint of its own.

        Savepoints cost as much as the writes themselves, and writes that fail are rare.
        """
        try:
            done, again = self._attempt(batch, fenced=False)
        except _Alone:
            done, again = self._attempt(batch, fenced=True)
        for waiting, result in done:
            waiting.answer.set_result(result)
        with self._changed:
            self._waiting.extendleft(reversed(again))

    def _attempt(self, batch: list[_Waiting], *, fenced: bool) -> tuple[list[tuple[_Waiting, Any]], list[_Waiting]]:
        """Results by write, and the writes to be tried again; `_Alone` where a failure is not fenced in."""
        done: list[tuple[_Waiting, Any]] = []
        again: list[_Waiting] = []
        with self._database.begin(self._actor) as unit:
            for waiting in batch:
                try:
                    with unit.savepoint() if fenced else nullcontext():
                        done.append((waiting, _result(waiting, unit)))
                except _Alone as failure:
                    if not fenced:
                        raise
                    _refuse(waiting, failure.error, again)
            unit.commit()
        return done, again


def _is_wanted(waiting: _Waiting) -> bool:
    """False where the submitter has given up; from here on it can only be answered."""
    return waiting.answer.running() or waiting.answer.set_running_or_notify_cancel()


class _Alone(Exception):
    """A write failed and the batch goes on without it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _result(waiting: _Waiting, unit: SqlUnitOfWork) -> Any:
    try:
        return waiting.write(unit)
    except Unavailable:
        raise  # the database itself is out, and with it the whole batch
    except Exception as error:
        raise _Alone(error) from None


def _refuse(waiting: _Waiting, error: Exception, again: list[_Waiting]) -> None:
    waiting.tries += 1
    if isinstance(error, Busy) and waiting.tries < _TRIES:
        again.append(waiting)
    else:
        waiting.answer.set_exception(error)


def _fail(batch: list[_Waiting], error: GatewayError) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(type(error)(*error.args))  # one for each thread that raises it
