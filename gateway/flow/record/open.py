"""open: a stored resource in clear, for a purpose that the audit trail tells of (law 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.identity import Purpose
from gateway.domain.resource import StoredVersion
from gateway.ports import UnitOfWork
from gateway.privacy.resource_bodies import open_body, sealed_for
from gateway.privacy.vault import Vault


@dataclass(frozen=True)
class OpenResources:
    """Bodies as they were written: FHIR JSON in UTF-8."""

    vault: Vault

    def __call__(self, unit: UnitOfWork, stored: Sequence[StoredVersion], purpose: Purpose, actor: str) -> list[bytes]:
        """Writes one audit row for each patient whose record is opened, none for what belongs to no patient."""
        self.tell(unit, stored, purpose, actor)
        return [self.unseen(unit, one) for one in stored]

    def tell(self, unit: UnitOfWork, stored: Sequence[StoredVersion], purpose: Purpose, actor: str) -> None:
        """The audit rows alone, of what was opened unseen and is shown now."""
        house = self.vault.house().pseudonym
        for owner in dict.fromkeys(one.owner for one in stored if one.owner != house):
            kinds = sorted({one.type for one in stored if one.owner == owner})
            unit.audit.record("identity:open", owner, actor, purpose=purpose, types=kinds)

    def unseen(self, unit: UnitOfWork, stored: StoredVersion) -> bytes:
        """The body for our own work: nothing of it may leave the gateway."""
        owner = self.vault.record(unit, sealed_for(stored.sealed))
        return open_body(owner, stored.type, stored.id, stored.version, stored.sealed)
