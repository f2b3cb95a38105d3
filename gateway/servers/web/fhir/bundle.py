"""batch and transaction: POST [base] with a Bundle (R4 3.1.0.11).

A transaction is one plan and one commit: all of it or nothing. The entries of a batch stand alone, each with its own
answer. Reading entries run last, when what was written is durable.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.domain.access import Client
from gateway.domain.errors import Category, Fault, GatewayError, Invalid
from gateway.flow.bulk.lease import GrantEnded, JobEnded
from gateway.flow.record.asked import Resource, Written
from gateway.formats.fhir.element import element, encode, instant
from gateway.formats.fhir.wire.issue import refused
from gateway.ports import UnitOfWork
from gateway.servers.web.body import MAX_CRITERION, parse_fields
from gateway.servers.web.fhir import exchange
from gateway.servers.web.fhir.address import address_of_path
from gateway.servers.web.fhir.exchange import Answer, FhirRequest
from gateway.servers.web.fhir.interaction import Interaction
from gateway.servers.web.fhir.pending import Again, Also, Outcome, settled, writing
from gateway.servers.web.fhir.resource_body import checked, parsed
from gateway.servers.web.fhir.written import told
from gateway.servers.web.services import WebServices

log = logging.getLogger(__name__)
Find = Callable[[str, str], Interaction]
"""The interaction behind an address shape and a method; Refusal (405) where there is none."""
Said = Resource | msgspec.Raw
"""An entry of the answer, or its JSON."""
Fits = Callable[[int], bool]
"""Counts the bytes of an entry, and says whether the answer holds as many."""
MOST_ANSWERED: Final = 64 << 20  # bytes of what is answered at once
_ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_HEADERS: Final = {
    "ifMatch": "if-match",
    "ifNoneMatch": "if-none-match",
    "ifNoneExist": "if-none-exist",
    "ifModifiedSince": "if-modified-since",
}
_LATER: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT})
"""Of a Bundle that is carried out later, no answer: it is tried again, what is written already being kept."""
_REASONS: Final = {200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified"}


@dataclass(frozen=True)
class Entry:
    """One entry as the request that it would be by itself."""

    method: str
    interaction: Interaction
    request: FhirRequest


@dataclass(frozen=True)
class Course:
    """A Bundle that is carried out later, perhaps after a run that was cut off.

    `known` is what became of the entries that are written already; `keep` takes what becomes of others into the
    transaction that writes them, and `stored` reads it back. `go_on` is called before each entry, gives who asks as
    far as he still may, and ends the run by an error. In the last attempt an outage is the answer to the entry that
    met it.
    """

    known: Mapping[int, Said]
    keep: Callable[[UnitOfWork, Mapping[int, Said]], None]
    stored: Callable[[], Mapping[int, Said]]
    go_on: Callable[[], Client]
    fits: Fits
    is_last: bool


def bundle(
    services: WebServices, client: Client, request: FhirRequest, find: Find, course: Course | None = None
) -> Outcome:
    """A Bundle of answers, in the order of the entries."""
    sent, entries = asked_bundle(services, request)
    if sent["type"] == "batch":
        return _batch(services, client, request, entries, find, course=course)
    checked(sent, "Bundle")
    asked = [entry_of(services, request, one, place, find, is_checked=True) for place, one in enumerate(entries)]
    return _transaction(services, client, request, asked, course)


def asked_bundle(services: WebServices, request: FhirRequest) -> tuple[Resource, list[Any]]:
    """The Bundle in the body and its entries; InvalidResource where it is none that can be carried out."""
    sent = parsed(request)
    kind = sent.get("type")
    if sent.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
        raise refused("invalid", "what is posted here is a Bundle of type batch or transaction", "Bundle.type")
    entries = sent.get("entry", [])
    most = services.settings.web.max_bundle_entries
    if not isinstance(entries, list) or len(entries) > most:
        raise refused("too-costly", f"a Bundle has at most {most} entries", "Bundle.entry")
    return sent, entries


def _transaction(
    services: WebServices, client: Client, request: FhirRequest, entries: Sequence[Entry], course: Course | None
) -> Outcome:
    writes = [place for place, one in enumerate(entries) if one.interaction.asked is not None]

    def respond(said: Mapping[int, Said]) -> Answer:
        fits = _room(course)
        reads = _read(services, client, entries, course, fits) if len(said) < len(entries) else {}
        wrote = {place: _bounded(one, fits, entries[place]) for place, one in said.items()}
        return _response({**wrote, **reads}, "transaction-response")

    if course is not None and course.known:
        return respond(course.known)  # it was committed, all of it, by a run that was cut off
    for one in entries:
        one.interaction.allow(client, one.request)
        if one.interaction.asked is None and one.interaction.permission is None:
            raise refused("not-supported", "a Bundle inside a Bundle is not carried out", one.request.place)
        if one.interaction.commits:
            text = f"${one.interaction.name} is no part of a transaction: ask for it by itself, or in a batch"
            raise refused("not-supported", text, one.request.place)

    def said_of(written: list[Written]) -> dict[int, Said]:
        return {place: _said(services, request, one) for place, one in zip(writes, written, strict=True)}

    def answer(written: list[Written]) -> Answer | Again:
        said = said_of(written)
        return respond(said) if len(said) == len(entries) else Again(lambda: respond(said))

    asked = [entries[place].interaction.write(services, client, entries[place].request) for place in writes]
    if course is None:
        return writing(services, client, asked, answer)
    return writing(services, client, asked, answer, also=lambda unit, written: course.keep(unit, said_of(written)))


def _read(
    services: WebServices, client: Client, entries: Sequence[Entry], course: Course | None, fits: Fits
) -> dict[int, Said]:
    said: dict[int, Said] = {}
    for place, one in enumerate(entries):
        if one.interaction.asked is None:
            client = client if course is None else course.go_on()
            said[place] = _bounded(_alone(services, client, one, course), fits, one)
    return said


def _batch(
    services: WebServices,
    client: Client,
    request: FhirRequest,
    entries: Sequence[Any],
    find: Find,
    *,
    course: Course | None,
) -> Answer:
    """Each entry by itself, in the order in which a transaction would take them."""
    said: dict[int, Said] = {}
    asked: dict[int, Entry] = {}
    for place, one in enumerate(entries):
        try:
            asked[place] = entry_of(services, request, one, place, find, is_checked=False)
        except GatewayError as error:
            said[place] = _failed(error, course)
    fits, outages = _room(course), []
    for place in sorted(asked, key=lambda place: (_ORDER[asked[place].method], place)):
        one = asked[place]
        if course is None:
            found: Said = _alone(services, client, one, None)
        else:
            found = course.known.get(place) or _within(services, one, place, course)
        if _is_outage(found):
            outages.append(place)
        said[place] = _bounded(found, fits, one)
    if course is not None and course.is_last and outages:  # which may have hidden that an entry was committed
        stored = course.stored()
        said |= {place: _bounded(stored[place], fits, asked[place]) for place in outages if place in stored}
    return _response(said, "batch-response")


def _is_outage(said: Said) -> bool:
    return isinstance(said, dict) and bool(said["response"]["status"].startswith("5"))


def so_far(services: WebServices, request: FhirRequest, known: Mapping[int, Said], error: GatewayError) -> Answer:
    """The answer to a Bundle that goes no further: what is stored, and of every other entry why it is not."""
    sent, entries = asked_bundle(services, request)
    refusal = exchange.refused(error)
    left = {"response": {"status": _status(refusal.status), "outcome": refusal.resource}}
    return _response({place: known.get(place, left) for place in range(len(entries))}, f"{sent['type']}-response")


def _within(services: WebServices, entry: Entry, place: int, course: Course) -> Resource:
    """The same where the answer to a write is kept with the write itself."""
    client = course.go_on()
    if entry.interaction.commits:
        text = f"${entry.interaction.name} is not answered later: ask for it by itself"
        return _failed(refused("not-supported", text, entry.request.place), course)

    def keep(unit: UnitOfWork, written: list[Written]) -> None:
        course.keep(unit, {place: _answered(told(services, entry.request, written[0]))})

    return _alone(services, client, entry, course, keep)


def _room(course: Course | None) -> Fits:
    """What is answered at once has a bound of its own: many small requests must not make one endless answer."""
    if course is not None:
        return course.fits
    left = MOST_ANSWERED

    def fits(size: int) -> bool:
        nonlocal left
        if size > left:
            return False
        left -= size
        return True

    return fits


def _bounded(said: Said, fits: Fits, entry: Entry) -> Said:
    """An entry for which the answer has no room any more: what was written without the resource, else its refusal."""
    line = said if isinstance(said, msgspec.Raw) else msgspec.Raw(encode(said))
    if fits(len(line)):
        return line
    if entry.interaction.asked is not None or entry.interaction.commits:
        return {"response": msgspec.json.decode(line)["response"]}
    reason = "the answer to the Bundle is too large for it: ask for it by itself"
    return _failed(refused("too-costly", reason, entry.request.place), None)


def _alone(
    services: WebServices, client: Client, entry: Entry, course: Course | None, also: Also | None = None
) -> Resource:
    """The answer to one entry, its failure included."""
    if entry.interaction.permission is None:
        return _failed(Invalid("a Bundle inside a Bundle is not carried out"), course)
    try:
        said = _answered(settled(services, entry.interaction.perform(services, client, entry.request, also)))
    except GatewayError as error:
        return _failed(error, course)
    return {"response": said["response"]} if entry.method == "HEAD" else said


def _answered(answer: Answer) -> Resource:
    headers = answer.headers
    response = element(
        status=_status(answer.status),
        location=headers.get("Location"),
        etag=headers.get("ETag"),
        lastModified=_instant(answer.modified),
    )
    if answer.status >= 400:
        return element(response=response | {"outcome": answer.resource})
    resource = answer.resource or (msgspec.Raw(answer.body) if answer.body else None)
    return element(resource=resource, response=response)


def _failed(error: GatewayError, course: Course | None) -> Resource:
    """An entry that failed; raised where the whole run ends by it, or is tried again."""
    if isinstance(error, JobEnded | GrantEnded):
        raise error
    if course is not None and not course.is_last and error.category in _LATER:
        raise error
    if isinstance(error, Fault):
        log.error("fhir.fault", exc_info=error)
    answer = exchange.refused(error)
    return {"response": {"status": _status(answer.status), "outcome": answer.resource}}


def _said(services: WebServices, request: FhirRequest, written: Written) -> Resource:
    """The entry of a write in a transaction; the resource itself only where it is asked for."""
    answer = told(services, request, written)
    response = element(
        status=_status(answer.status),
        location=answer.headers.get("Location"),
        etag=answer.headers.get("ETag"),
        lastModified=_instant(answer.modified),
        outcome=answer.resource,
    )
    wanted = "return" in request.headers.get("prefer", "").lower() and answer.body
    return element(resource=msgspec.Raw(answer.body) if wanted else None, response=response)


def _instant(at: Any) -> str | None:
    return instant(at) if at is not None else None


def _response(said: Mapping[int, Said], kind: str) -> Answer:
    entries = [said[place] for place in sorted(said)]
    return Answer(200, element(resourceType="Bundle", type=kind, entry=entries))


def _status(status: int) -> str:
    return f"{status} {_REASONS[status]}" if status in _REASONS else str(status)


def entry_of(
    services: WebServices, request: FhirRequest, told: Any, place: int, find: Find, *, is_checked: bool
) -> Entry:
    """InvalidResource, with the place, where an entry has no request that can be carried out."""
    where = f"Bundle.entry[{place}]"
    asked = told.get("request") if isinstance(told, dict) else None
    if not isinstance(asked, dict):
        raise refused("required", "the entry has no request", where)
    method, url = asked.get("method"), asked.get("url")
    if method not in _ORDER or not isinstance(url, str):
        raise refused("value", "the request needs a method and a url", f"{where}.request")
    path, _, query = url.removeprefix(f"{services.fhir_base}/").lstrip("/").partition("?")
    try:
        address = address_of_path([part for part in path.split("/") if part])
        interaction = find(address.shape, method)
        fields = parse_fields(query.encode(), MAX_CRITERION)
    except GatewayError as error:
        error.place = f"{where}.request.url"
        raise
    resource, full_url = told.get("resource"), told.get("fullUrl", "")
    body, media_type = b"", "application/fhir+json"
    if method == "PATCH" and isinstance(resource, dict) and resource.get("resourceType") == "Binary":
        body, media_type, resource = _patch(resource, where)
    headers = {name: asked[member] for member, name in _HEADERS.items() if isinstance(asked.get(member), str)}
    return Entry(
        method,
        interaction,
        FhirRequest(
            interaction=interaction.name,
            kind=address.type,
            id=address.id,
            version=address.version,
            fields=fields,
            lenient=request.lenient,
            by_post=False,
            headers={"prefer": request.headers.get("prefer", ""), "content-type": media_type} | headers,
            body=body,
            resource=resource if isinstance(resource, dict) else None,
            full_url=full_url if isinstance(full_url, str) else "",
            place=where,
            is_checked=is_checked,
            compartment=address.compartment,
        ),
    )


def _patch(resource: Resource, where: str) -> tuple[bytes, str, None]:
    """A JSON Patch comes as a Binary (R4 3.1.0.11.3)."""
    try:
        return (
            base64.b64decode(str(resource.get("data", "")), validate=True),
            str(resource.get("contentType", "")),
            None,
        )
    except (binascii.Error, ValueError):
        raise refused("value", "the patch is not base64", f"{where}.resource.data") from None
