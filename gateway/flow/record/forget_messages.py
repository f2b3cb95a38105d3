"""forget messages: what was processed longer ago than a message is known (R4 messaging, reliableCache) is let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.domain.message import RELIABLE
from gateway.ports import Database

ACTOR = "sweep"


@dataclass(frozen=True)
class ForgetMessages:
    """A chore of the sweeper, so that the table is bounded where no further message comes."""

    database: Database
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        """How many went."""
        with self.database.begin(ACTOR) as unit:
            gone = unit.messages.forget(self.now() - RELIABLE)
            unit.commit()
        return gone
