"""Opens a record's resources to be gathered, and seals who it is about for the report; both stay inside the gateway.

Opened for our own work: what leaves is the gathered document, which holds no identity (decision 10).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.resource import StoredVersion
from gateway.domain.study import Study
from gateway.flow.record.entries import patient_of
from gateway.flow.record.open import OpenResources
from gateway.ports import UnitOfWork
from gateway.privacy.fhir.original import original_identity
from gateway.privacy.vault import Vault


@dataclass(frozen=True)
class ReadRecord:
    """The two calls that settling a record needs of the vault."""

    vault: Vault

    def open_resource(self, unit: UnitOfWork, stored: StoredVersion) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(OpenResources(self.vault).unseen(unit, stored))
        return found

    def seal_identity(self, study: Study, resources: Sequence[Mapping[str, Any]]) -> bytes:
        return self.vault.seal_record(study, original_identity(patient_of(resources)))
