"""One interaction of R4 3.1.0: its name in the specification, the scope letter that it needs, and what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.domain.access import Client
from gateway.domain.errors import Fault, Forbidden, GatewayError
from gateway.flow.record.asked import Asked
from gateway.flow.scopes import Permission
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.authorize import authorize
from gateway.servers.web.fhir.confine import allow_reading
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.fhir.note_interaction import Action, refusals_noted
from gateway.servers.web.fhir.own_practitioner import is_oneself
from gateway.servers.web.fhir.pending import Also, Outcome, refusal, writing
from gateway.servers.web.fhir.subscribe import admitted
from gateway.servers.web.fhir.written import told
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

Handler = Callable[[WebServices, Client, FhirRequest], Outcome]
ReadIn = Callable[[WebServices, Client, FhirRequest, UnitOfWork], Outcome]
OURS_ALONE = frozenset({"AuditEvent"})


_NAMES: dict[str, Action] = {
    "read": "read",
    "vread": "vread",
    "search-type": "search",
    "search-system": "search",
    "create": "create",
    "update": "update",
    "patch": "patch",
    "delete": "delete",
    "history-instance": "history",
    "history-type": "history",
    "history-system": "history",
}


def _audited_as(name: str) -> Action:
    """What the audit trail calls it; a bundle and everything with a $ is an operation."""
    return _NAMES.get(name, "operation")


@dataclass(frozen=True)
class Interaction:
    """A reading one has `run`, a writing one `asked`. No permission: what it contains is authorised piece by piece.

    One that reads a single resource has `read_in` as well: it can share its unit of work with others. What `commits`
    writes in a transaction of its own, and so cannot be part of another one.
    """

    name: str
    permission: Permission | None
    run: Handler | None = None
    read_in: ReadIn | None = None
    asked: Callable[[FhirRequest], Asked] | None = None
    commits: bool = False

    def perform(self, services: WebServices, client: Client, request: FhirRequest, also: Also | None = None) -> Outcome:
        """In a thread: may the client, and the interaction itself; `also` goes into the transaction of a write."""
        with refusals_noted(services, client, _audited_as(self.name), request.kind or "Bundle", request.id):
            self.allow(client, request)
            if self.run is not None:
                return self.run(services, client, request)
            asked = [self.write(services, client, request)]
            return writing(services, client, asked, lambda written: told(services, request, written[0]), also=also)

    def perform_in(self, services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
        """The same in a unit that reads for others too; what the client may not have is written down in the commit."""
        if self.read_in is None:
            raise Fault("this interaction needs a unit of its own")
        try:
            self.allow(client, request)
            return self.read_in(services, client, request, unit)
        except GatewayError as error:
            return refusal(error, client, _audited_as(self.name), request.kind, request.id)

    def allow(self, client: Client, request: FhirRequest) -> None:
        """Forbidden (403) where no scope covers it; Refusal (405) for what only the gateway writes."""
        allow_reading(client, self.name)
        if self.asked is not None and request.kind in OURS_ALONE:
            reason = f"{request.kind} is written by the gateway alone"
            raise Refusal(405, "not-supported", reason, headers={"Allow": "GET, HEAD, OPTIONS"})
        if self.name == "read" and is_oneself(client, request.kind, request.id):
            return
        if self.permission is not None and request.kind:
            try:
                authorize(client, request.kind, self.permission)
            except Forbidden as error:
                error.place = request.place
                raise

    def write(self, services: WebServices, client: Client, request: FhirRequest) -> Asked:
        """What a writing interaction asks of the store, as far as the client may have it so."""
        if self.asked is None:
            raise Refusal(405, "not-supported", f"a {self.name} writes nothing")
        return admitted(services, client, self.asked(request))
