"""The steps over one store of FHIR resources, as a server or a sweeper holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.flow.record.asked import Asked, Written
from gateway.flow.record.open import OpenResources
from gateway.flow.record.plan import PlanWrites
from gateway.flow.record.write import Note, WriteResources
from gateway.ports import UnitOfWork

PLANNED_OUTSIDE = 3
"""So often a plan is made outside of the transaction that carries it out; then inside, where it is slower and holds."""


@dataclass(frozen=True)
class Record:
    """Plan, write, open."""

    plan: PlanWrites
    write: WriteResources
    opened: OpenResources

    def within(
        self, unit: UnitOfWork, asked: Sequence[Asked], actor: str, note: Note | None = None
    ) -> list[Written] | None:
        """Planned and carried out in one transaction."""
        return self.write(unit, self.plan(unit, asked), actor, note)
