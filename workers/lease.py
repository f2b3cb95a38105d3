"""Holds the lease of one task while it runs, and gives the process up when the task runs too long.

A thread cannot be interrupted inside native code, so a task past its time ends the process; the supervisor
starts it again, the lease expires and another attempt begins under the next fencing token.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from gateway.domain.clearance import PixelTask
from gateway.domain.errors import GatewayError
from gateway.domain.task import Task
from gateway.ports import Database, UnitOfWork

log = logging.getLogger(__name__)
GIVEN_UP = 70  # EX_SOFTWARE of sysexits: the exit status by which the supervisor log tells a task past its time


Held = TypeVar("Held", Task, PixelTask)


def renew_task(unit: UnitOfWork, task: Task, until: datetime) -> bool:
    return unit.tasks.renew(task, until)


def renew_pixel_task(unit: UnitOfWork, task: PixelTask, until: datetime) -> bool:
    return unit.pixel_tasks.renew(task, until)


@dataclass(frozen=True)
class HoldLease(Generic[Held]):
    """Renews, by `renew`, every third of `lease`; after `timeout` calls `give_up` with the exit status."""

    database: Database
    worker: str
    renew: Callable[[UnitOfWork, Held, datetime], bool]
    lease: timedelta
    timeout: timedelta
    give_up: Callable[[int], None] = os._exit

    @contextmanager
    def __call__(self, task: Held) -> Iterator[None]:
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(task, done), name=f"lease-{task.id[:8]}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join(timeout=5)

    def _keep(self, task: Held, done: threading.Event) -> None:
        deadline = time.monotonic() + self.timeout.total_seconds()
        while not done.wait(self.lease.total_seconds() / 3):
            if time.monotonic() > deadline:
                log.error("task past its time", extra={"fields": {"task": task.id, "attempt": task.attempt}})
                self.give_up(GIVEN_UP)
                return
            if not self._renew(task):
                return

    def _renew(self, task: Held) -> bool:
        try:
            with self.database.begin(self.worker) as unit:
                held = self.renew(unit, task, datetime.now(UTC) + self.lease)
                unit.commit()
        except GatewayError as error:
            log.warning("lease not renewed", extra={"fields": {"task": task.id, "error": error.category.value}})
            return True  # the database may be back before the lease ends
        return held
