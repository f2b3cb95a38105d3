"""Outlet to an EHR that speaks FHIR: the strategy that its CapabilityStatement allows, or the one that is set.

The statement is read when it is needed, kept for a day and read again after a failure. Where a strategy is refused
for what it is (not because the EHR is out), the next one that the EHR offers is tried; the one that served stands in
front of the acknowledgement, and so in the audit trail.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import httpx

from gateway.config import DestinationSettings
from gateway.domain.errors import Category, GatewayError
from gateway.domain.report import Delivery
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.render import RenderedReport, render
from gateway.outlets.fhir_connection import ANSWER_LIMIT, FhirConnection, refusal
from gateway.outlets.peer_capability import PeerCapability, peer_capability
from gateway.outlets.strategies import STRATEGIES
from gateway.outlets.strategies.sending import NoSuchPatient, Sending
from gateway.ports import ReportDocument

__all__ = ["ANSWER_LIMIT", "FhirOutlet"]
CAPABILITY_SECONDS: Final = 24 * 3600.0
_OTHER_WAY: Final = frozenset({Category.INVALID, Category.FORBIDDEN, Category.UNSUPPORTED, Category.MISSING})
_NO_STATEMENT: Final = 501  # a server that answers so has no statement; other failures are failures


class FhirOutlet:
    """Sends to one EHR over kept-alive connections; used by one thread, `close` ends it."""

    def __init__(
        self,
        settings: DestinationSettings,
        base_url: str,
        organization_name: str,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._base_url = base_url
        self._organization_name = organization_name
        self._connection = FhirConnection(settings, transport)
        self._clock = clock
        self._peer: PeerCapability | None = None
        self._until = 0.0

    def send(self, delivery: Delivery, document: ReportDocument) -> str:
        """Deliver; the strategy, and the ids and versions that the EHR gave, without patient data.

        Unavailable, Busy, Conflict: try again later. Invalid, Forbidden, Unsupported: the EHR refuses this content.
        """
        try:
            peer = self._capability()
            rendered = self._rendered(document)
            return self._by_strategy(Sending(self._connection, peer, document, rendered))
        except GatewayError:
            self._until = 0.0  # what the EHR can do may have changed
            raise

    def close(self) -> None:
        self._connection.close()

    def _by_strategy(self, sending: Sending) -> str:
        names = self._names(sending.peer)
        refused = ""
        for name in names[:-1]:
            try:
                return f"{name}: {STRATEGIES[name](sending)}{refused}"
            except NoSuchPatient:
                raise
            except GatewayError as error:
                if error.category not in _OTHER_WAY:
                    raise
                refused += f" (after {name}: {error})"
        return f"{names[-1]}: {STRATEGIES[names[-1]](sending)}{refused}"

    def _names(self, peer: PeerCapability | None) -> tuple[str, ...]:
        if self._settings.strategy != "auto":
            return (self._settings.strategy,)
        return peer.strategies() if peer is not None else ("transaction",)

    def _capability(self) -> PeerCapability | None:
        """None where the EHR has no statement that could be read."""
        if self._settings.strategy in ("transaction", "pull"):
            return None
        if self._clock() < self._until:
            return self._peer
        answer = self._connection.request("GET", "metadata")
        if answer.status in (408, 425, 429) or (answer.status >= 500 and answer.status != _NO_STATEMENT):
            raise refusal(answer.status, answer.body)
        self._peer = peer_capability(answer.resource) if answer.status == 200 else None
        self._until = self._clock() + CAPABILITY_SECONDS
        return self._peer

    def _rendered(self, document: ReportDocument) -> RenderedReport:
        rendered = render(document, self._base_url, self._organization_name)
        if not self._settings.patient_system:
            return rendered
        return replace(rendered, resources=tuple(map(self._known_by, rendered.resources)))

    def _known_by(self, resource: Resource) -> Resource:
        """The patient under the system by which this EHR knows patients."""
        if resource["resourceType"] != "Patient":
            return resource
        names = [
            {**name, "system": self._settings.patient_system} if name.get("type") else name
            for name in resource["identifier"]
        ]
        return {**resource, "identifier": names}
