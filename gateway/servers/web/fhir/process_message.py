"""$process-message: POST [base]/$process-message with a Bundle of type message (R4 MessageHeader, operations).

Its resources are filed as one transaction, under the rules, scopes and trail of one; in that transaction it is kept
that the message was processed, so that one which comes again is answered as before and not applied twice (R4
Messaging, reliable messaging).
What is no message hears so by its HTTP status; a message that cannot be filed is answered by one that says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from gateway.domain.access import Client
from gateway.domain.errors import Category, Conflict, GatewayError, Unmet
from gateway.domain.message import RELIABLE, ReceivedMessage
from gateway.flow.record.asked import Asked, Written
from gateway.flow.record.message import Filing
from gateway.flow.record.write import Overtaken
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.message import OPERATION, Code, Message, answer, is_message, read_message
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.wire.issue import refused
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir import exchange
from gateway.servers.web.fhir.bundle import Find, entry_of
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.pending import Again, Outcome, Pending, writing
from gateway.servers.web.fhir.resource_body import checked, parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

_OF_THE_MESSAGE: Final = frozenset({Category.INVALID, Category.UNSUPPORTED, Category.MISSING, Category.CONFLICT})
"""Refusals that the message itself has earned; what is not its doing is told by the HTTP status."""
_SERVED: Final = frozenset({("async", "false"), ("_format", ""), ("_pretty", "")})


def process_message(services: WebServices, client: Client, request: FhirRequest, find: Find) -> Outcome:
    """200 with the answer, ok or fatal-error; InvalidResource for what is no message."""
    for name, value in request.fields:
        if (name, value) not in _SERVED and (name, "") not in _SERVED:
            text = f"${OPERATION} is answered at once: {name} is not served"
            raise Refusal(400, "not-supported", text, expression=(f"http.{name}",))
    sent = parsed(request)
    if not is_message(sent):
        text = "what is processed here is a Bundle of type message that begins with its MessageHeader"
        raise refused("invalid", text, "Bundle.type")
    most = services.settings.web.max_bundle_entries
    if len(sent["entry"]) > most:
        raise refused("too-costly", f"a Bundle has at most {most} entries", "Bundle.entry")
    checked(sent, "Bundle")
    message = read_message(sent)
    filing = Filing.of(message, client.name, str(sent["entry"][0].get("fullUrl", "")), services.fhir_base)
    processing = _Processing(services, client, request, find, message, filing, services.clock())
    return processing.known() or processing.followed(processing.begun)


@dataclass(frozen=True)
class _Processing:
    """One message on its way."""

    services: WebServices
    client: Client
    request: FhirRequest = field(repr=False)
    find: Find
    message: Message
    filing: Filing
    at: datetime

    def known(self) -> Answer | None:
        """The answer to a message that was processed already."""
        received = self._received()
        with self.services.database.read() as unit:
            before = unit.messages.find(received.client, received.message, received.bundle)
        if before is None or before.at < self.at - RELIABLE:
            return None  # the next one that is kept takes what is too old away
        if before.message != received.message:
            text = "this Bundle.identifier has come with another message before: each message has its own"
            return self._failed(refused("duplicate", text, "Bundle.identifier"))
        return self._ok(before.at)

    def begun(self) -> Outcome:
        asked = self._asked()
        return writing(self.services, self.client, asked, lambda _: self._ok(self.at), also=self._keep)

    def followed(self, run: Callable[[], Outcome]) -> Outcome:
        """What comes of a run, and of those that follow where another writer was first."""
        try:
            outcome = run()
        except GatewayError as error:
            return self._failed(error)
        if not isinstance(outcome, Pending):
            return outcome
        pending, overtaken = outcome, outcome.overtaken

        def then(written: object) -> Answer | Again:
            said = pending.then(written)
            return Again(lambda: self.followed(said.run)) if isinstance(said, Again) else said

        def again() -> Outcome:
            return self.known() or self.followed(overtaken or self.begun)

        return Pending(pending.write, then, again)

    def _asked(self) -> Sequence[Asked]:
        """As a transaction would ask for it, as far as the client may."""
        asked: list[Asked] = []
        for place, made in self.filing.entries():
            entry = entry_of(self.services, self.request, made, place, self.find, is_checked=True)
            entry.interaction.allow(self.client, entry.request)
            written = entry.interaction.write(self.services, self.client, entry.request)
            asked.append(replace(written, stays=written.criteria is not None))
        return asked

    def _keep(self, unit: UnitOfWork, written: list[Written]) -> None:
        """Overtaken where the same message was processed meanwhile."""
        unit.messages.forget(self.at - RELIABLE)
        if not unit.messages.keep(self._received()):
            raise Overtaken("the message was processed meanwhile")
        note_interaction(unit, self.client, "operation", "Bundle", operation=OPERATION, count=len(written))

    def _received(self) -> ReceivedMessage:
        bundle = self._hashed("bundle", self.message.identifier) if self.message.identifier else None
        return ReceivedMessage(self.client.name, self._hashed("header", self.message.id), bundle, self.at)

    def _hashed(self, kind: str, name: str) -> bytes:
        """By the digest, since the vault's index takes large letters for small ones."""
        digest = hashlib.sha256(f"{kind}\x1f{name}".encode()).hexdigest()
        return self.services.record.plan.vault.search_index("message", digest)

    def _ok(self, at: datetime) -> Answer:
        return Answer(200, answer(self.message, self.services.fhir_base, "ok", at))

    def _failed(self, error: GatewayError) -> Answer:
        """The answer that says why nothing was filed, once its row in the trail is durable."""
        if error.category not in _OF_THE_MESSAGE:
            raise error
        with self.services.database.begin(actor_of(self.client)) as unit:
            note_interaction(unit, self.client, "operation", "Bundle", operation=OPERATION, outcome="4")
            unit.commit()
        overtaken = isinstance(error, Conflict) and not isinstance(error, Unmet)
        code: Code = "transient-error" if overtaken else "fatal-error"
        details: Resource = exchange.refused(error).resource or issue("processing", "the message was not filed")
        return Answer(200, answer(self.message, self.services.fhir_base, code, self.at, details))
