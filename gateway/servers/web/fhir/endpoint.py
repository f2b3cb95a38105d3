"""The FHIR endpoint: from address and method to interaction, by table; every failure becomes an OperationOutcome.

HL7 FHIR R4 3.1.0. The types, interactions and parameters that exist are those of formats/fhir/capability.py, so
that the CapabilityStatement and the server cannot disagree.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.domain.access import Client
from gateway.domain.errors import Fault, GatewayError, Missing
from gateway.flow.scopes import Permission
from gateway.formats.fhir.capability import BY_TYPE
from gateway.servers.web.body import Fields, query_fields, read_body, read_form
from gateway.servers.web.client_credentials import address_of
from gateway.servers.web.fhir import audit_events
from gateway.servers.web.fhir.authorize import authenticate, authorize
from gateway.servers.web.fhir.capabilities import capabilities, smart_configuration
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, check_format, prefers_lenient, refused
from gateway.servers.web.fhir.note_interaction import Action, refusals_noted
from gateway.servers.web.fhir.read import read
from gateway.servers.web.fhir.search import search
from gateway.servers.web.fhir.token_value import ID
from gateway.servers.web.fhir.vread import vread
from gateway.servers.web.refusal import Refusal, wrong_method
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

log = logging.getLogger(__name__)
_MAX_FORM_BYTES = 64 * 1024  # four times a query: what is too long for GET is what POST _search is for
Handler = Callable[[WebServices, Client, FhirRequest], Answer]


@dataclass(frozen=True)
class Interaction:
    """One interaction: its name in the specification, what runs, the scope letter that it needs, its audit event."""

    name: str
    run: Handler
    permission: Permission
    audited_as: Action


READ = Interaction("read", read, "r", "read")
VREAD = Interaction("vread", vread, "r", "vread")
SEARCH = Interaction("search-type", search, "s", "search")

# Shape of an address to the interactions on it, by method
INTERACTIONS: dict[str, dict[str, Interaction]] = {
    "[type]": {"GET": SEARCH, "HEAD": SEARCH},
    "[type]/_search": {"POST": SEARCH},
    "[type]/[id]": {"GET": READ, "HEAD": READ},
    "[type]/[id]/_history/[vid]": {"GET": VREAD, "HEAD": VREAD},
}
_NOT_SERVED = {  # interactions of the specification that we know and do not have
    "[base]": "transactions and batches are not served",
    "_history": "history is not served; a version is read by [type]/[id]/_history/[vid]",
    "$": "operations are not served",
}


@dataclass(frozen=True)
class Address:
    """What a path names."""

    shape: str
    type: str = ""
    id: str = ""
    version: str = ""


class FhirEndpoint:
    """The ASGI endpoint behind /fhir."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def __call__(self, request: Request) -> Response:
        name_request(request, "fhir.none")
        head = request.method == "HEAD"
        try:
            self._services.address_rate.take(address_of(request))
            return await self._answer(request)
        except GatewayError as error:
            if isinstance(error, Fault):
                log.exception("fhir.fault")
            return refused(error).response(head=head)
        except Exception:
            log.exception("fhir.crash")  # the log's formatter writes places, never the message
            return refused(Fault("internal error")).response(head=head)

    async def _answer(self, request: Request) -> Response:
        segments = [part for part in request.path_params.get("path", "").split("/") if part]
        if segments in (["metadata"], [".well-known", "smart-configuration"]):
            return self._open_document(request, segments[0])
        address = address_of_path(segments)
        interaction = _interaction(address, request.method)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": _allowed(address)})
        if interaction is None:
            raise Missing("there is nothing at this address")
        name_request(request, f"fhir.{interaction.name} {address.type}")
        asked = _asked(request, interaction, address, await self._fields(request))
        client = None
        if request.headers.get("authorization", "")[:6].lower() == "basic ":  # may cost scrypt
            client = await self._services.threads.sign_in(authenticate, self._services, request)
        answer = await self._services.threads.work(self._run, request, interaction, asked, client)
        return answer.response(head=request.method == "HEAD")

    def _run(self, request: Request, interaction: Interaction, asked: FhirRequest, client: Client | None) -> Answer:
        """In a thread: who asks, may he, and the interaction itself."""
        kind = asked.served.type
        client = client or authenticate(self._services, request)
        name_request(request, f"fhir.{interaction.name} {kind}", f"client:{client.name}")
        with refusals_noted(self._services, client, interaction.audited_as, kind, asked.id):
            authorize(client, kind, interaction.permission)
            check_format(request, asked.fields)
            run = audit_events.HANDLERS[interaction.name] if kind == audit_events.TYPE else interaction.run
            return run(self._services, client, asked)

    async def _fields(self, request: Request) -> Fields:
        """Parameters of query and form together (R4 3.1.1.3)."""
        fields = query_fields(request)
        if request.method == "POST":
            fields += await read_form(request, _MAX_FORM_BYTES)
        else:
            await read_body(request, 0)  # a GET has no body; one with a body is refused before it is read
        return fields

    def _open_document(self, request: Request, name: str) -> Response:
        name_request(request, "fhir.capabilities" if name == "metadata" else "fhir.smart-configuration")
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        if request.method not in ("GET", "HEAD"):
            raise wrong_method(("GET", "HEAD", "OPTIONS"))
        if name != "metadata":
            return JSONResponse(smart_configuration(self._services))
        check_format(request, query_fields(request))
        return capabilities(self._services).response(head=request.method == "HEAD")


def address_of_path(segments: list[str]) -> Address:
    """Missing where the path has no shape of the specification, or names a type that is not served."""
    unserved = _unserved(segments)
    if unserved is not None:
        raise Refusal(501, "not-supported", _NOT_SERVED[unserved])
    kind, *rest = segments
    if kind not in BY_TYPE:
        raise Refusal(404, "not-supported", "this resource type is not served; see [base]/metadata")
    match rest:
        case []:
            return Address("[type]", kind)
        case ["_search"]:
            return Address("[type]/_search", kind)
        case [own_id] if ID.fullmatch(own_id):
            return Address("[type]/[id]", kind, own_id)
        case [own_id, "_history", version] if ID.fullmatch(own_id) and ID.fullmatch(version):
            return Address("[type]/[id]/_history/[vid]", kind, own_id, version)
    raise Missing("there is nothing at this address; an id has 1 to 64 letters, digits, - and .")


def _unserved(segments: list[str]) -> str | None:
    """The row of `_NOT_SERVED` that the path belongs to."""
    if not segments:
        return "[base]"
    if segments[-1].startswith("$"):
        return "$"
    return "_history" if "_history" in (segments[0], segments[-1]) else None


def _interaction(address: Address, method: str) -> Interaction | None:
    methods = INTERACTIONS[address.shape]
    if address.type == audit_events.TYPE:  # the trail is written by what happens, never over REST
        methods = {name: each for name, each in methods.items() if each.name in audit_events.HANDLERS}
    if method != "OPTIONS" and method not in methods:
        raise wrong_method((*methods, "OPTIONS"))
    return methods.get(method)


def _allowed(address: Address) -> str:
    return ", ".join((*INTERACTIONS[address.shape], "OPTIONS"))


def _asked(request: Request, interaction: Interaction, address: Address, fields: Fields) -> FhirRequest:
    return FhirRequest(
        interaction=interaction.name,
        served=BY_TYPE[address.type],
        id=address.id,
        version=address.version,
        fields=fields,
        lenient=prefers_lenient(request),
        by_post=request.method == "POST",
        if_none_match=request.headers.get("if-none-match", ""),
        if_modified_since=request.headers.get("if-modified-since", ""),
    )
