"""forget events: what was told of and is old cannot be asked for any more, so that the table stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.ports import Database

ACTOR = "notify"


@dataclass(frozen=True)
class ForgetEvents:
    """A chore of the sweeper."""

    database: Database
    keep: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        """How many went; what waits for its endpoint stays however old it is."""
        with self.database.begin(ACTOR) as unit:
            gone = unit.subscriptions.drop_sent(self.now() - self.keep)
            unit.commit()
        return gone
