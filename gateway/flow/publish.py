"""publish: rings the workers' doorbell for every task that nobody is known to hold.

The task table is the truth and the broker a hint (law 2): a lost ring, a dead worker or an empty broker only
means that the same task is rung for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.domain.errors import Unavailable
from gateway.domain.ids import TaskId
from gateway.ports import Database, Doorbell


@dataclass(frozen=True)
class PublishTasks:
    """One round; run by the sweeper. Stops at the first sign that the broker is out."""

    database: Database
    doorbell: Doorbell
    republish_after: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, limit: int = 200) -> int:
        """Returns how many tasks were rung for; Unavailable where the broker could not take any."""
        now = self.now()
        with self.database.read() as unit:
            tasks = unit.tasks.unheld(now, now - self.republish_after, limit)
        rung: list[TaskId] = []
        failure: Unavailable | None = None
        for task in tasks:
            try:
                self.doorbell.ring(task.id, task.priority)
            except Unavailable as error:
                failure = error
                break
            rung.append(task.id)
        if rung:
            with self.database.begin("publish") as unit:
                unit.tasks.mark_published(rung, now)
                unit.commit()
        if failure is not None:
            raise failure
        return len(rung)
