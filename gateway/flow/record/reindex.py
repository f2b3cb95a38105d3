"""reindex: the search rows of everything that is stored, written anew a few at a time while the gateway runs.

Needed once what is indexed has changed: after a release with other search parameters, or under another address. How
far a pass has come is committed with the rows themselves, so one that was killed goes on where it stopped, and rows
of resources that are no more go as well. Bodies are opened for our own work: nothing of them leaves the gateway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway.domain.errors import Conflict, GatewayError, Unavailable
from gateway.domain.ids import new_id
from gateway.domain.reindex import Reindexing
from gateway.domain.resource import Change, StoredVersion
from gateway.flow.record.open import OpenResources
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import Database, UnitOfWork

BATCH: Final = 100
_PAUSE: Final = 0.01  # seconds between two batches, in which those who write come first


@dataclass(frozen=True)
class Reindex:
    """`on_batch` hears how far it has come; `fingerprint` is of what decides which rows there are."""

    database: Database
    opened: OpenResources
    on_batch: Callable[[Reindexing], None] = lambda _: None
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fingerprint: str = ""

    def __call__(self, actor: str, *, anew: bool = False) -> Reindexing:
        """The pass at its end; Conflict where another run of it is under way. `anew` gives up an unfinished one."""
        current = self._begun(actor, anew=anew)
        while current.ended_at is None:
            with self.database.read() as unit:
                found = unit.resources.following(current.after, current.until, BATCH)
                changes = [(stored, self._change(unit, stored)) for stored in found]
            current = self._written(actor, current, changes)
            self.on_batch(current)
            self.pause(_PAUSE)
        return current

    def _begun(self, actor: str, *, anew: bool) -> Reindexing:
        """What was left unfinished, unless it is given up, or was begun to index otherwise; else a new pass."""
        with self.database.begin(actor) as unit:
            last = unit.reindexings.newest()
            if last is not None and last.ended_at is None:
                if not anew and last.fingerprint == self.fingerprint:
                    return last
                if not unit.reindexings.move(last, replace(last, ended_at=self.now())):
                    raise Conflict("the index is being written anew by another run")
                unit.audit.record("index:end", last.id, actor, done=last.done, failed=last.failed)
            first = Reindexing(new_id(), self.now(), unit.resources.last_key(), fingerprint=self.fingerprint)
            unit.reindexings.begin(first)
            unit.audit.record("index:begin", first.id, actor)
            unit.commit()
        return first

    def _change(self, unit: UnitOfWork, stored: StoredVersion) -> Change | None:
        """As if it were written now; None where the body does not open, whose rows stay as they are."""
        if stored.is_deleted:
            return Change(stored, None, None)
        try:
            resource = parse_json(self.opened.unseen(unit, stored))
        except Unavailable:
            raise
        except GatewayError:
            return None
        return Change(stored, resource, resource, stored.owner)

    def _written(
        self, actor: str, was: Reindexing, changes: Sequence[tuple[StoredVersion, Change | None]]
    ) -> Reindexing:
        """One batch, and behind the last one the end of the pass."""
        is_last = len(changes) < BATCH
        failed = sum(change is None for _, change in changes)
        after = was.until if is_last else changes[-1][0].key
        now = replace(was, after=after, done=was.done + len(changes) - failed, failed=was.failed + failed)
        if is_last:
            now = replace(now, ended_at=self.now())
        with self.database.begin(actor) as unit:
            if not unit.reindexings.move(was, now):
                raise Conflict("the index is being written anew by another run")
            unit.resource_index.forget_strays(was.after, after)
            versions = unit.resources.hold((), [stored.key for stored, _ in changes], ())
            unit.resource_index.put(
                [change for stored, change in changes if change and versions.get(stored.key) == stored.version]
            )  # what was written meanwhile has been indexed by who wrote it
            if is_last:
                unit.audit.record("index:end", now.id, actor, done=now.done, failed=now.failed)
            unit.commit()
        return now
