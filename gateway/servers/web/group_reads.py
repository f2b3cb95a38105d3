"""Many small reads in one unit of work: each begins in the loop, is read in one thread, committed in another, answered.

A read of one resource is a query of microseconds; opening a unit of work for it, and waking a thread to begin and the
loop to end, cost many times that. What arrives while one batch is read is the next batch. The rows of the audit trail
that a read leaves go from the reading thread straight to the group commit, which batches as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from gateway.domain.errors import Busy, GatewayError
from gateway.ports import Database, GroupCommit, UnitOfWork
from gateway.servers.web.fhir.pending import OF_THE_CLIENT, Outcome, Pending

MOST_IN_BATCH = 32
MOST_WAITING = 1024
_IDLE_SECONDS = 5.0
Read = Callable[[UnitOfWork], Outcome]
Settled = tuple[Outcome, Any]
"""What a read gave and, where that waits for a commit, what the commit has given."""


@dataclass(frozen=True)
class _Waiting:
    read: Read
    answer: asyncio.Future[Settled]
    home: Returning


class Returning:
    """The way back into one event loop, which is woken once for all that comes at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[Settled], Settled | BaseException]] = deque()
        self._woken = False
        self._lock = threading.Lock()

    def give(self, answer: asyncio.Future[Settled], result: Settled | BaseException) -> None:
        """From any thread; lost where the loop has ended, and with it whoever waited."""
        with self._lock:
            self._done.append((answer, result))
            if self._woken:
                return
            self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:  # closed
            self._done.clear()

    def _hand_out(self) -> None:
        with self._lock:
            self._woken = False
            done, self._done = self._done, deque()
        for answer, result in done:
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)


class GroupReads:
    """One reading thread over `database`, which lives while there is something to read."""

    def __init__(self, database: Database, commits: GroupCommit) -> None:
        self._database = database
        self._commits = commits
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._alive = False
        self._home: Returning | None = None

    async def read(self, read: Read, seconds: float) -> Settled:
        """The outcome, with what it waited for committed. Busy where too many wait; TimeoutError after `seconds`."""
        loop = asyncio.get_running_loop()
        if self._home is None or self._home.loop is not loop:
            self._home = Returning(loop)
        waiting = _Waiting(read, loop.create_future(), self._home)
        self._admit(waiting)
        async with asyncio.timeout(seconds):
            return await waiting.answer

    def _admit(self, waiting: _Waiting) -> None:
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise Busy("too many reads are waiting for the database")
            self._waiting.append(waiting)
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._run, name="group-reads", daemon=True).start()
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._next():
            self._carry_out(batch)

    def _next(self) -> deque[_Waiting]:
        """Empty where nothing has come for a while: the thread ends."""
        with self._changed:
            if not self._waiting and not self._changed.wait_for(lambda: bool(self._waiting), _IDLE_SECONDS):
                self._alive = False
            size = min(MOST_IN_BATCH, len(self._waiting))
            return deque(self._waiting.popleft() for _ in range(size))

    def _carry_out(self, batch: deque[_Waiting]) -> None:
        """In one unit; in another one after a failure that may be the unit's, so that each fails alone."""
        while batch:
            try:
                with self._database.read() as unit:
                    while batch and self._one(unit, batch.popleft()):
                        pass
            except Exception as error:  # the thread must outlive whatever ails the database
                while batch:
                    one = batch.popleft()
                    one.home.give(one.answer, error)

    def _one(self, unit: UnitOfWork, waiting: _Waiting) -> bool:
        """False where the unit should not be used again."""
        if waiting.answer.done():  # whoever asked has gone
            return True
        try:
            outcome = waiting.read(unit)
            if isinstance(outcome, Pending):
                self._commit(waiting, outcome)
            else:
                waiting.home.give(waiting.answer, (outcome, None))
        except GatewayError as error:
            waiting.home.give(waiting.answer, error)
            return error.category in OF_THE_CLIENT
        except Exception as error:
            waiting.home.give(waiting.answer, error)
            return False
        return True

    def _commit(self, waiting: _Waiting, outcome: Pending) -> None:
        def committed(done: Future[Any]) -> None:
            error = done.exception() if not done.cancelled() else asyncio.CancelledError()
            waiting.home.give(waiting.answer, error if error is not None else (outcome, done.result()))

        self._commits.later(outcome.write).add_done_callback(committed)
