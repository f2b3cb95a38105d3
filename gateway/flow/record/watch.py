"""watch: marks a patient's record as changed, inside the very transaction that writes to the FHIR store.

So no change is forgotten and none is looked at before it is durable. What models do not read, and what they have
written themselves, marks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.domain.resource import Change
from gateway.flow.record.entries import is_read
from gateway.ports import UnitOfWork


@dataclass(frozen=True)
class WatchRecords:
    """Implements the Watcher port. `quiet`: a record with no new write for this long is looked at."""

    quiet: timedelta
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, unit: UnitOfWork, changes: Sequence[Change]) -> None:
        at = self.now()
        for patient in dict.fromkeys(change.stored.owner for change in changes if _counts(change)):
            unit.records.touch(patient, at + self.quiet, at)


def _counts(change: Change) -> bool:
    return any(each is not None and is_read(each) for each in (change.resource, change.previous))
