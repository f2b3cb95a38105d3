"""write: a plan carried out in one transaction, if what it was planned on still holds (R4 3.1.0.11.2).

Locks are taken in one order before anything is written; then versions, then whoever watches, then the audit. Called
by the group commit, so it must be one that can be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.domain.errors import Conflict
from gateway.domain.resource import Change, StoredVersion
from gateway.flow.record.asked import Condition, Did, Plan, Step, Written
from gateway.ports import UnitOfWork, Watcher

Note = Callable[[UnitOfWork, Did, StoredVersion], None]
Row = dict[str, str | int | float | bool | list[str] | None]
_EVENTS = {"created": "resource:create", "updated": "resource:update", "deleted": "resource:delete"}


class Overtaken(Conflict):
    """Another writer was first with something that the plan rests on; nothing of it may be committed."""


@dataclass(frozen=True)
class WriteResources:
    """`watchers` are told of every change inside the transaction."""

    watchers: Sequence[Watcher]

    def __call__(self, unit: UnitOfWork, plan: Plan, actor: str, note: Note | None = None) -> list[Written] | None:
        """What became of each step; None, with nothing written, where the plan has to be made anew.

        `note` writes the audit row of each change; without it the row says that the gateway's own `actor` did it.
        """
        writes = plan.writes
        if writes or plan.conditions:
            if not self._holds(unit, plan):
                return None
            if not unit.resources.write([(step.was, now) for step, now in writes]):
                raise Overtaken("another writer was first")
            changes = [
                Change(now, step.resource, step.previous, step.was.owner if step.was is not None else "")
                for step, now in writes
            ]
            for watcher in self.watchers if changes else ():
                watcher(unit, changes)
        for step, now in writes:
            if note is not None:
                note(unit, _did(step), now)
                continue
            told: Row = {"type": now.type, "version": now.version, "patients": [now.owner]}
            unit.audit.record(_EVENTS[_did(step)], now.id, actor, **told)
        return [Written(_did(step), step.now or step.was, step.body) for step in plan.steps]

    def _holds(self, unit: UnitOfWork, plan: Plan) -> bool:
        owners = [now.owner for _, now in plan.writes]
        before = {step.was.key: step.was.version for step, _ in plan.writes if step.was is not None}
        locks = [condition.lock for condition in plan.conditions]
        if unit.resources.hold(owners, list(before), locks) != before:
            return False
        return all(self._same(unit, condition) for condition in plan.conditions)

    def _same(self, unit: UnitOfWork, condition: Condition) -> bool:
        return (
            tuple(unit.resource_index.matching(condition.kind, condition.criteria, condition.limit)) == condition.found
        )


def _did(step: Step) -> Did:
    now: StoredVersion | None = step.now
    if now is None:
        return "nothing"
    if now.is_deleted:
        return "deleted"
    return "updated" if step.was is not None and not step.was.is_deleted else "created"
