"""sweep orphans: deletes sealed files that no row names, which a crash between storing and committing has left.

Nobody can be given such a file, but it holds a patient's pixels; a day is far longer than any attempt takes. What is
under way is never touched, and the trail tells how many were deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from gateway.ports import BlobStore, Database

AGE = timedelta(days=1)
ACTOR = "sweep"
_PAGE = 10_000  # keys looked at together


@dataclass(frozen=True)
class SweepOrphans:
    """One round over the whole store; run by the sweeper once a day."""

    database: Database
    blobs: BlobStore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        """How many were deleted."""
        old, deleted = iter(self.blobs.stored_before(self.now() - AGE)), 0
        while keys := list(islice(old, _PAGE)):
            with self.database.read() as unit:
                orphans = unit.erasures.unnamed(keys)
            if not orphans:
                continue
            with self.database.begin(
                ACTOR
            ) as unit:  # before they go: a crash in between tells of too many, not too few
                unit.audit.record("orphan:delete", "blobs", ACTOR, count=len(orphans))
                unit.commit()
            for key in sorted(orphans):
                self.blobs.delete(key)
            deleted += len(orphans)
        return deleted
