"""What opens and seals identity, each opening audited in the unit of work that asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from gateway.domain.identity import Purpose, StudyIdentity
from gateway.domain.resource import StoredVersion
from gateway.domain.study import Study
from gateway.ports.database import UnitOfWork


class OpenResource(Protocol):
    """Opens the sealed body of a stored resource."""

    def __call__(self, unit: UnitOfWork, stored: StoredVersion) -> Mapping[str, Any]: ...


class SealIdentity(Protocol):
    """Who a record is about, from its Patient resource, sealed under the patient's own key for the vault."""

    def __call__(self, study: Study, resources: Sequence[Mapping[str, Any]]) -> bytes: ...


class IdentityVault(Protocol):
    """Opens identity; every opening writes its audit row in the caller's unit of work."""

    def study_identity(self, unit: UnitOfWork, study: Study, purpose: Purpose, actor: str) -> StudyIdentity: ...

    def original_uids(self, unit: UnitOfWork, study: Study, purpose: Purpose, actor: str) -> Mapping[str, str]:
        """Pseudonymous SOP and Series Instance UIDs of the study to the original ones."""
        ...

    def patients(self, unit: UnitOfWork, issuer: str | None, patient_id: str) -> list[str]:
        """Pseudonyms of the patients known by this identifier."""
        ...

    def search_index(self, kind: Literal["accession", "study-uid", "condition", "message"], value: str) -> bytes: ...
