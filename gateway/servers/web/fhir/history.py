"""history: of a resource, a type or everything, newest version first, deletions too (R4 3.1.0.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.domain.resource import StoredVersion
from gateway.flow.record.at_once import FIRST, MOST_OPENED, MOST_SEALED, at_once
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element, instant
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.confine import is_visible, see
from gateway.servers.web.fhir.date_range import ANY_TIME, DateRange, parse
from gateway.servers.web.fhir.date_range import since as since_of
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest, actor_of, refuse_unknown
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links, page_size
from gateway.servers.web.services import WebServices

DEFAULT_COUNT = 50
MAX_COUNT = 500
_AT_ONCE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SERVED = frozenset({"_count", "_since", "_at", *OF_THE_ANSWER, PARAMETER})
_STATUS = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


@dataclass(frozen=True)
class _Asked:
    fields: Fields
    count: int
    since: datetime | None
    at: DateRange
    place: list[int] | None


def history(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A history Bundle; Missing (404) for a resource that never was."""
    links = page_links(services, client, f"_history/{request.kind}/{request.id}")
    refuse_unknown(request, _SERVED)
    asked = _asked(links, tuple(one for one in request.fields if one[0] in _SERVED))
    with services.reading() as unit:
        if request.id:
            current = unit.resources.find(request.kind, request.id)
            if current is None:
                raise Missing("no such resource")
            see(services, client, current)
        found, more = _found(unit, request, asked)
        page, is_cut = _page(services, client, unit, found, request.kind)
        more = more or is_cut
        shown = [one for one, body in page if body is not None]
        services.record.opened.tell(unit, shown, "read", actor_of(client))
        patients = patients_of(services, shown)
        kind, own_id = request.kind or "all", request.id
        note_interaction(unit, client, "history", kind, own_id, patients=patients, count=len(page))
    entries = [_entry(services, one, body) for one, body in page]
    urls = [{"relation": "self", "url": _self_url(services, request)}]
    if more:
        last = page[-1][0] if is_cut else found[-1]
        token = links.seal(asked.fields, [(last.at - _EPOCH) // timedelta(microseconds=1), last.key, last.version])
        urls.append({"relation": "next", "url": f"{_address(services, request)}?{PARAMETER}={token}"})
    whole = not more and asked.place is None
    total = len(page) if whole else None
    return Answer(200, element(resourceType="Bundle", type="history", total=total, link=urls, entry=entries))


def _found(unit: UnitOfWork, request: FhirRequest, asked: _Asked) -> tuple[list[StoredVersion], bool]:
    """As many versions as a page holds, by their number and their bytes, and whether there are more."""
    found: list[StoredVersion] = []
    after, weight, together = _after(asked.place), 0, FIRST
    while True:
        limit = min(asked.count + 1 - len(found), together)
        some = unit.resources.history(
            kind=request.kind or None,
            own_id=request.id or None,
            since=asked.since,
            until=asked.at.end,
            current_since=asked.at.start,
            limit=limit,
            after=after,
        )
        for one in some:
            if len(found) == asked.count or weight > MOST_SEALED:
                return found, True
            found.append(one)
            weight += len(one.sealed)
        if len(some) < limit:
            return found, False
        after = (found[-1].at, found[-1].key, found[-1].version)
        together = at_once(some, _AT_ONCE)


def _page(
    services: WebServices, client: Client, unit: UnitOfWork, found: Sequence[StoredVersion], kind: str
) -> tuple[list[tuple[StoredVersion, bytes | None]], bool]:
    """What the client may see of them, opened one by one, None of a deletion; and whether their bytes cut it."""
    page: list[tuple[StoredVersion, bytes | None]] = []
    weight = 0
    for one in found:
        if not _may_see(services, client, one, kind):
            continue
        if weight > MOST_OPENED:
            return page, True
        body = None if one.is_deleted else services.record.opened.unseen(unit, one)
        page.append((one, body))
        weight += len(body or b"")
    return page, False


def _asked(links: PageLinks, fields: Fields) -> _Asked:
    fields, place = links.resumed(fields)
    since, at = field(fields, "_since"), field(fields, "_at")
    return _Asked(
        fields,
        page_size(field(fields, "_count"), DEFAULT_COUNT, MAX_COUNT),
        since_of(since) if since is not None else None,
        parse(at) if at is not None else ANY_TIME,
        place,
    )


def _after(place: list[int] | None) -> tuple[datetime, int, int] | None:
    """The last version of the page before, as the page link keeps it."""
    if place is None:
        return None
    microseconds, key, version = place
    return _EPOCH + timedelta(microseconds=microseconds), key, version


def _may_see(services: WebServices, client: Client, stored: StoredVersion, kind: str) -> bool:
    """In a history of everything a client sees what it may read; of a moved resource, no version of another record."""
    return (bool(kind) or permits(client.scopes, stored.type, "r")) and is_visible(services, client, stored)


def _entry(services: WebServices, stored: StoredVersion, body: bytes | None) -> Resource:
    address = f"{stored.type}/{stored.id}"
    created = stored.method == "POST" or (stored.method == "PUT" and stored.version == 1)
    return element(
        fullUrl=f"{services.fhir_base}/{address}",
        resource=msgspec.Raw(body) if body is not None else None,
        request={"method": stored.method, "url": stored.type if stored.method == "POST" else address},
        response={
            "status": "201 Created" if created else _STATUS[stored.method],
            "etag": f'W/"{stored.version}"',
            "lastModified": instant(stored.at),
        },
    )


def _address(services: WebServices, request: FhirRequest) -> str:
    return "/".join(part for part in (services.fhir_base, request.kind, request.id, "_history") if part)


def _self_url(services: WebServices, request: FhirRequest) -> str:
    query = urlencode([(name, value) for name, value in request.fields if name in _SERVED])
    return f"{_address(services, request)}?{query}" if query else _address(services, request)
