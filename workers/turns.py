"""Who may run beside whom in one worker: a task whose former holder fell silent runs alone.

Why: an input that ends its process (a crash in native code, more memory than there is) takes every task with it that
was running there. They all come back at the same moment; together again, they would end together until each had used
up its attempts. Alone, only the one that is to blame goes on dying.
A thread that cannot have its turn soon is not kept waiting: the sweeper rings again, and STAT needs the thread. One
thread alone waits, for those that run to end; tasks that take long could keep it from its turn for ever otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, Protocol, TypeVar

from gateway.domain.errors import Missing
from gateway.domain.ids import InstanceId, TaskId
from gateway.domain.study import Priority
from gateway.ports import Database, UnitOfWork

PATIENCE: Final = 5.0  # seconds that a thread waits while another task runs alone
DRAIN: Final = 300.0  # seconds in which those that run may end before one that must be alone; nobody new begins
NOT_NOW: Final = "not now"
Id = TypeVar("Id", TaskId, InstanceId)


class Held(Protocol):
    """What a task says of who holds it."""

    @property
    def state(self) -> str: ...
    @property
    def lease_until(self) -> datetime | None: ...
    @property
    def priority(self) -> Priority: ...


class Turns:
    """One for all threads of a worker. STAT goes in beside a task that runs alone: it may be lost once, and then comes
    first."""

    def __init__(self, patience: float = PATIENCE, drain: float = DRAIN) -> None:
        self._patience, self._drain = patience, drain
        self._change = threading.Condition()
        self._running = 0
        self._alone = False

    @contextmanager
    def turn(self, *, alone: bool, urgent: bool) -> Iterator[bool]:
        """Whether it may run now; while it does, and it is alone, nobody else gets a turn."""
        granted = self._enter(alone=alone, urgent=urgent)
        try:
            yield granted
        finally:
            if granted:
                self._leave(alone=alone)

    def _enter(self, *, alone: bool, urgent: bool) -> bool:
        with self._change:
            if not alone:
                granted = self._change.wait_for(lambda: urgent or not self._alone, self._patience)
                self._running += granted
                return granted
            if not self._change.wait_for(lambda: not self._alone, self._patience):
                return False
            self._alone = True  # from now on nobody new comes in
            if not self._change.wait_for(lambda: self._running == 0, self._drain):
                self._alone = False
                self._change.notify_all()
                return False
            self._running += 1
            return True

    def _leave(self, *, alone: bool) -> None:
        with self._change:
            self._running -= 1
            self._alone = self._alone and not alone
            self._change.notify_all()


@dataclass(frozen=True)
class InTurn(Generic[Id]):
    """Runs a task when it has its turn, else says `NOT_NOW`; `look` reads it."""

    database: Database
    turns: Turns
    look: Callable[[UnitOfWork, Id], Held]
    run: Callable[[Id], str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, row_id: Id) -> str:
        try:
            with self.database.read() as unit:
                held = self.look(unit, row_id)
        except Missing:
            return self.run(row_id)
        silent = held.state == "doing" and held.lease_until is not None and held.lease_until <= self.now()
        with self.turns.turn(alone=silent, urgent=held.priority == "stat") as granted:
            return self.run(row_id) if granted else NOT_NOW
