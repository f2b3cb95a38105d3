"""The FHIR endpoint: from address and method to interaction, by table; every failure becomes an OperationOutcome.

HL7 FHIR R4 3.1.0. Interactions compute in threads; what they want durable goes through the group commit, for which
nobody waits in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.domain.access import Client
from gateway.domain.errors import Erased, Fault, GatewayError, Unavailable
from gateway.flow.record.write import Overtaken
from gateway.servers.web.body import MAX_CRITERION, query_fields, read_body, read_form
from gateway.servers.web.client_credentials import address_of
from gateway.servers.web.fhir.address import Address, address_of_path
from gateway.servers.web.fhir.authorize import authenticate, remembered
from gateway.servers.web.fhir.binary_content import SECURITY_CONTEXT, as_content
from gateway.servers.web.fhir.capabilities import capabilities, definition, is_definition, smart_configuration
from gateway.servers.web.fhir.exchange import (
    Answer,
    FhirRequest,
    accepted,
    prefers_lenient,
    refused,
    wants_other,
    wants_pretty,
    wants_xml,
)
from gateway.servers.web.fhir.interaction import Interaction
from gateway.servers.web.fhir.interactions import INTERACTIONS, find
from gateway.servers.web.fhir.job import JOB_FILE
from gateway.servers.web.fhir.pending import Again, Outcome, Pending
from gateway.servers.web.group_reads import GroupReads
from gateway.servers.web.refusal import wrong_method
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

log = logging.getLogger(__name__)
_MAX_FORM_BYTES = 64 * 1024  # four times a query: what is too long for GET is what POST _search is for
_COMMIT_SECONDS = 60.0
PREFIX = "/fhir"
BODIES = 64  # requests whose bodies are in memory at one time
_SENT = {
    name.encode(): name
    for name in (
        *("if-match", "if-none-match", "if-none-exist", "if-modified-since"),
        *("prefer", "content-type", SECURITY_CONTEXT),
    )
}
_LISTS = frozenset({"if-match", "if-none-match", "prefer"})
_OPEN = {
    "metadata": "capabilities",
    ".well-known": "smart-configuration",
    "OperationDefinition": "operation-definition",
}
_OF_MANY = frozenset({"[base]", "$process-message"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class FhirEndpoint:
    """The ASGI endpoint behind /fhir."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._reads = GroupReads(services.database, "web", _COMMIT_SECONDS)
        self._bodies = asyncio.Semaphore(BODIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._said(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _said(self, request: Request) -> Response:
        name_request(request, "fhir.none")
        try:
            self._services.address_rate.take(address_of(request))
            return await self._answer(request)
        except GatewayError as error:
            if isinstance(error, Fault):
                log.exception("fhir.fault")
            said = refused(error)
        except Exception:
            log.exception("fhir.crash")  # the log's formatter writes places, never the message
            said = refused(Fault("internal error"))
        return said.response(head=request.method == "HEAD", xml=_prefers_xml(request))

    async def _answer(self, request: Request) -> Response:
        segments = [part for part in request.scope["path"].removeprefix(PREFIX).split("/") if part]
        if segments in (["metadata"], [".well-known", "smart-configuration"]) or is_definition(segments):
            return self._open_document(request, segments)
        address = address_of_path(segments)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join((*INTERACTIONS[address.shape], "OPTIONS"))})
        interaction = find(address.shape, request.method)
        name_request(request, f"fhir.{interaction.name} {address.type}".rstrip())
        threads = self._services.threads
        client: Client | None = remembered(self._services, request)
        if client is None and request.headers.get("authorization", "")[:6].lower() == "basic ":  # may cost scrypt
            client = await threads.sign_in(authenticate, self._services, request)
        async with self._bodies:
            asked = await self._asked(request, interaction, address)
            if interaction.read_in is not None:
                if client is None:
                    client = await threads.work(authenticate, self._services, request)
                if asked.kind == "Binary" and wants_other(request, asked.fields):
                    answer = await self._read(request, interaction, asked, client)
                    return as_content(answer, accepted(request), head=request.method == "HEAD")
                xml = wants_xml(request, asked.fields)  # 406 before anything is done
                answer = await self._read(request, interaction, asked, client)
            else:
                of_many = address.shape in _OF_MANY and interaction.name != "search-system"
                run = threads.bundle if of_many else threads.work
                answer = await self._settled(await run(self._run, request, interaction, asked, client))
                xml = interaction.name != JOB_FILE and wants_xml(request, asked.fields)
            pretty = bool(asked.fields) and interaction.name != JOB_FILE and wants_pretty(asked.fields)
            if xml or pretty:
                written = partial(answer.response, head=request.method == "HEAD", xml=xml, pretty=pretty)
                return await threads.work(written)
        return answer.response(head=request.method == "HEAD")

    async def _read(self, request: Request, interaction: Interaction, asked: FhirRequest, client: Client) -> Answer:
        """One resource, together with what others read at this moment."""
        name_request(request, f"fhir.{interaction.name} {asked.kind}", f"client:{client.name}")
        services = self._services
        stored = interaction.name == "read" and asked.kind != "AuditEvent"
        about = (asked.kind, asked.id) if stored else None
        said = await self._reads.read(lambda unit: interaction.perform_in(services, client, asked, unit), about)
        return await self._settled(await services.threads.work(said.run)) if isinstance(said, Again) else said

    def _run(self, request: Request, interaction: Interaction, asked: FhirRequest, client: Client | None) -> Outcome:
        """In a thread: who asks, may he, and the interaction itself."""
        client = client or authenticate(self._services, request)
        name_request(request, f"fhir.{interaction.name} {asked.kind}".rstrip(), f"client:{client.name}")
        if interaction.name != JOB_FILE:
            wants_xml(request, asked.fields)  # 406 before anything is done
        return interaction.perform(self._services, client, asked)

    async def _settled(self, outcome: Outcome) -> Answer:
        """Commits what waits for it until there is an answer."""
        while isinstance(outcome, Pending):
            try:
                said = outcome.then(await self._committed(outcome))
            except (Overtaken, Erased):
                if outcome.overtaken is None:
                    raise
                said = Again(outcome.overtaken)
            outcome = await self._services.threads.work(said.run) if isinstance(said, Again) else said
        return outcome

    async def _committed(self, pending: Pending) -> object:
        commit = asyncio.wrap_future(self._services.commits.later(pending.write))
        try:
            return await asyncio.wait_for(commit, _COMMIT_SECONDS)
        except TimeoutError:
            raise Unavailable("the database has not committed in time") from None

    async def _asked(self, request: Request, interaction: Interaction, address: Address) -> FhirRequest:
        """The request with parameters of query and form together (R4 3.1.1.3), or with its body."""
        fields, body = query_fields(request), b""
        if address.shape.endswith("/_search"):
            fields += await read_form(request, _MAX_FORM_BYTES, MAX_CRITERION)
        elif request.method in _WITH_BODY:
            body = await read_body(request, self._services.settings.web.max_resource_bytes)
        elif "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
            await read_body(request, 0)  # a GET has no body; one with a body is refused before it is read
        headers = _sent(request)
        return FhirRequest(
            interaction=interaction.name,
            kind=address.type,
            id=address.id,
            version=address.version,
            fields=fields,
            lenient=prefers_lenient(headers),
            by_post=request.method == "POST",
            headers=headers,
            body=body,
            compartment=address.compartment,
        )

    def _open_document(self, request: Request, segments: list[str]) -> Response:
        name_request(request, f"fhir.{_OPEN[segments[0]]}")
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "GET, HEAD, OPTIONS"})
        if request.method not in ("GET", "HEAD"):
            raise wrong_method(("GET", "HEAD", "OPTIONS"))
        if segments[0] == ".well-known":
            return JSONResponse(smart_configuration(self._services))
        fields = query_fields(request)
        xml, pretty = wants_xml(request, fields), wants_pretty(fields)
        said = definition(self._services, segments[1]) if len(segments) > 1 else None
        return (said or capabilities(self._services, INTERACTIONS)).response(
            head=request.method == "HEAD", xml=xml, pretty=pretty
        )


def _sent(request: Request) -> dict[str, str]:
    """The headers that interactions look at; lists in several lines as one (RFC 9110 5.3), of others the first."""
    found: dict[str, str] = {}
    for header, value in request.scope["headers"]:
        name = _SENT.get(header)
        if name is not None and name not in found:
            found[name] = value.decode("latin-1")
        elif name in _LISTS:
            found[name] += f", {value.decode('latin-1')}"
    return found


def _prefers_xml(request: Request) -> bool:
    """For a refusal, which must be said whatever the client speaks."""
    try:
        return wants_xml(request, query_fields(request))
    except GatewayError:
        return False
