"""How much identity may be opened in an hour: the window that quotas are counted in, and the refusal when it is full.

A stolen client secret or password should cost a hospital an hour's share of its patients, not all of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.domain.errors import Busy

HOUR = timedelta(hours=1)


def hour_of(at: datetime) -> datetime:
    """The start of the hour in which `at` lies."""
    return at.replace(minute=0, second=0, microsecond=0)


class TooManyOpenings(Busy):
    """The hour's share is used up; trying again makes sense only after `seconds`."""

    def __init__(self, now: datetime) -> None:
        self.seconds = int((hour_of(now) + HOUR - now).total_seconds()) + 1
        super().__init__(f"too many identities were opened in this hour; try again in {self.seconds} s")
