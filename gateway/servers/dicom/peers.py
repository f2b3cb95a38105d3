"""Which peers may open an association: their AE titles, networks and the title they call.

A calling AE title alone authenticates nobody; it is checked together with the network that the peer comes from,
and TLS client certificates are the stronger way (dicom.tls_client_ca).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from gateway.domain.access import Client
from gateway.domain.errors import GatewayError
from gateway.ports import Database, GroupCommit, UnitOfWork
from gateway.servers.dicom.journal import actor_of
from gateway.servers.dicom.policy import (
    CALLED_AE_NOT_RECOGNISED,
    CALLING_AE_NOT_RECOGNISED,
    TEMPORARY_CONGESTION,
    AssociationInfo,
    Rejection,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PeerPolicy:
    """`known_only`: calling AE titles must be clients in the database, from one of their networks."""

    database: Database
    commits: GroupCommit
    our_title: str
    check_called: bool
    known_only: bool

    def admit(self, proposal: AssociationInfo) -> Rejection | None:
        rejection = self._judge(proposal)
        if rejection in (CALLED_AE_NOT_RECOGNISED, CALLING_AE_NOT_RECOGNISED):
            self._record(proposal)
        return rejection

    def _judge(self, proposal: AssociationInfo) -> Rejection | None:
        if self.check_called and proposal.called_ae != self.our_title:
            return CALLED_AE_NOT_RECOGNISED
        if not self.known_only:
            return None
        try:
            with self.database.read() as unit:
                client = unit.access.client("dicom", proposal.calling_ae)
        except GatewayError:
            return TEMPORARY_CONGESTION  # whether the peer is welcome cannot be known now
        if client is None or not client.active or not _comes_from(client, proposal.peer_host):
            return CALLING_AE_NOT_RECOGNISED
        return None

    def _record(self, proposal: AssociationInfo) -> None:
        def write(unit: UnitOfWork) -> None:
            actor = actor_of(proposal)
            unit.audit.record("association:reject", proposal.association_id, actor, called_ae=proposal.called_ae)

        try:
            self.commits.submit(write)
        except GatewayError as error:
            log.warning("rejection not recorded error=%s", error.category.value)


def _comes_from(client: Client, host: str) -> bool:
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in ip_network(network) for network in client.networks)
