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
        whose = [(lies_in(one), one.type) for one in stored]
        for owner in dict.fromkeys(owner for owner, _ in whose if owner != house):
            kinds = sorted({kind for record, kind in whose if record == owner})
            unit.audit.record("identity:open", owner, actor, purpose=purpose, types=kinds)

    def unseen(self, unit: UnitOfWork, stored: StoredVersion) -> bytes:
        """The body for our own work: nothing of it may leave the gateway."""
        owner = self.vault.record(unit, sealed_for(stored.sealed))
        return open_body(owner, stored.type, stored.id, stored.version, stored.sealed)


def lies_in(stored: StoredVersion) -> str:
    """The pseudonym of the record that this version is part of: an older one may lie in another than the resource."""
    return sealed_for(stored.sealed) if stored.sealed else stored.owner
