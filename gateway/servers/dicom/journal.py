"""Writes each association into the audit trail: who came, from where, and how it ended.

An association that cannot be recorded is not begun; its end is recorded as far as the database lets us.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from gateway.domain.errors import GatewayError
from gateway.ports import GroupCommit, UnitOfWork
from gateway.servers.dicom.policy import AssociationInfo, Ending

log = logging.getLogger(__name__)


def actor_of(info: AssociationInfo) -> str:
    """How the audit trail names a DICOM peer."""
    return f"dicom:{info.calling_ae}@{info.peer_host}"


@dataclass(frozen=True)
class AssociationJournal:
    """Implements the AssociationObserver of the listener."""

    commits: GroupCommit

    def opened(self, info: AssociationInfo) -> None:
        def write(unit: UnitOfWork) -> None:
            unit.audit.record(
                "association:open",
                info.association_id,
                actor_of(info),
                called_ae=info.called_ae,
                implementation=info.implementation_version,
                tls_subject=info.tls_subject,
            )

        self.commits.submit(write)

    def released(self, info: AssociationInfo, reason: Ending) -> None:
        def write(unit: UnitOfWork) -> None:
            unit.audit.record("association:close", info.association_id, actor_of(info), reason=reason.value)

        try:
            self.commits.submit(write, lingering=True)
        except GatewayError as error:
            log.warning("association end not recorded error=%s", error.category.value)
