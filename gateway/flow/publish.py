"""publish: rings the workers' doorbell for every task and every search of pixels that nobody is known to hold.

The task table is the truth and the broker a hint (law 2): a lost ring, a dead worker or an empty broker only
means that the same task is rung for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from gateway.domain.errors import Unavailable
from gateway.domain.ids import InstanceId, TaskId
from gateway.domain.study import Priority
from gateway.ports import Database, Doorbell

Id = TypeVar("Id", TaskId, InstanceId)


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
            searches = unit.pixel_tasks.unheld(now, now - self.republish_after, limit)
        # searches first, for models wait for them
        searched, failure = _rung(self.doorbell.ring_pixels, [(one.id, one.priority) for one in searches])
        rung: list[TaskId] = []
        if failure is None:
            rung, failure = _rung(self.doorbell.ring, [(one.id, one.priority) for one in tasks])
        if rung or searched:
            with self.database.begin("publish") as unit:
                unit.pixel_tasks.mark_published(searched, now)
                unit.tasks.mark_published(rung, now)
                unit.commit()
        if failure is not None:
            raise failure
        return len(rung) + len(searched)


def _rung(
    ring: Callable[[Id, Priority], None], waiting: Sequence[tuple[Id, Priority]]
) -> tuple[list[Id], Unavailable | None]:
    """Which were rung for before the broker failed, if it did."""
    rung: list[Id] = []
    for row_id, priority in waiting:
        try:
            ring(row_id, priority)
        except Unavailable as error:
            return rung, error
        rung.append(row_id)
    return rung, None
