"""How many patients' identity may be opened in an hour: the window, what counts, and the refusal when it is full.

A stolen client secret or password should cost a hospital an hour's share of its patients, not all of them. So patients
count, not reads: who reads the record of one patient a thousand times has learnt of one patient.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime, timedelta

from gateway.domain.errors import Busy
from gateway.ports import UnitOfWork

HOUR = timedelta(hours=1)
_REMEMBERED = 100_000
_Opened = tuple[str, datetime, str]


def hour_of(at: datetime) -> datetime:
    """The start of the hour in which `at` lies."""
    return at.replace(minute=0, second=0, microsecond=0)


class TooManyOpenings(Busy):
    """The hour's share is used up; trying again makes sense only after `seconds`."""

    def __init__(self, now: datetime) -> None:
        self.seconds = int((hour_of(now) + HOUR - now).total_seconds()) + 1
        super().__init__(f"the identities of too many patients were opened in this hour; try again in {self.seconds} s")


class OpeningQuota:
    """Counts a patient once in an hour for each actor; the count is a row that all processes share.

    Whom it has counted a process keeps in its own memory, which is bounded: after a restart, in another process, or
    among more than 100,000, a patient counts once more, never less than once.
    """

    def __init__(self, most: int, capacity: int = _REMEMBERED) -> None:
        self._most, self._capacity = most, capacity
        self._counted: OrderedDict[_Opened, None] = OrderedDict()
        self._own = threading.local()
        self._lock = threading.Lock()

    def take(self, unit: UnitOfWork, actor: str, patients: Collection[str], now: datetime) -> bool:
        """False, and nothing is counted, where the hour's share does not hold those that are new in it."""
        hour = hour_of(now)
        of_unit = self._of(unit)
        asked = [(actor, hour, one) for one in dict.fromkeys(patients)]
        with self._lock:  # not while the database is asked: it may make this thread wait for one that wants the lock
            new = [one for one in asked if one not in self._counted and one not in of_unit]
        if not new:
            return True
        if not unit.quotas.take(f"open:{actor}", hour, len(new), self._most):
            return False
        of_unit.update(new)
        return True

    def _of(self, unit: UnitOfWork) -> set[_Opened]:
        """Whom this unit has counted; a thread has one at a time."""
        if getattr(self._own, "unit", None) is not unit:
            self._own.unit, self._own.counted = unit, set()
        counted: set[_Opened] = self._own.counted
        return counted

    def keep(self, actor: str, patients: Collection[str], now: datetime) -> None:
        """Once what `take` has counted is durable: until then a failure would have uncounted it."""
        hour = hour_of(now)
        with self._lock:
            for patient in patients:
                self._counted[actor, hour, patient] = None
                self._counted.move_to_end((actor, hour, patient))
            while len(self._counted) > self._capacity:
                self._counted.popitem(last=False)
