"""history: of a resource, a type or everything, newest version first, deletions too (R4 3.1.0.12)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.domain.resource import StoredVersion
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.confine import is_visible, see
from gateway.servers.web.fhir.date_range import ANY_TIME, DateRange, parse
from gateway.servers.web.fhir.date_range import since as since_of
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links, page_size
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

DEFAULT_COUNT = 50
MAX_COUNT = 500
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
    asked = _asked(links, request.fields)
    with services.reading() as unit:
        if request.id:
            current = unit.resources.find(request.kind, request.id)
            if current is None:
                raise Missing("no such resource")
            see(services, client, current)
        found = unit.resources.history(
            kind=request.kind or None,
            own_id=request.id or None,
            since=asked.since,
            until=asked.at.end,
            current_since=asked.at.start,
            limit=asked.count + 1,
            after=_after(asked.place),
        )
        page = [one for one in found[: asked.count] if _may_see(services, client, one, request.kind)]
        shown = [one for one in page if not one.is_deleted]
        bodies = services.record.opened(unit, shown, "read", actor_of(client))
        patients = patients_of(services, shown)
        kind, own_id = request.kind or "all", request.id
        note_interaction(unit, client, "history", kind, own_id, patients=patients, count=len(page))
    by_version = {(one.key, one.version): body for one, body in zip(shown, bodies, strict=True)}
    entries = [_entry(services, one, by_version.get((one.key, one.version))) for one in page]
    urls = [{"relation": "self", "url": _self_url(services, request)}]
    if len(found) > asked.count:
        last = found[asked.count - 1]
        token = links.seal(asked.fields, [(last.at - _EPOCH) // timedelta(microseconds=1), last.key, last.version])
        urls.append({"relation": "next", "url": f"{_address(services, request)}?{PARAMETER}={token}"})
    whole = len(found) <= asked.count and asked.place is None
    total = len(page) if whole else None
    return Answer(200, element(resourceType="Bundle", type="history", total=total, link=urls, entry=entries))


def _asked(links: PageLinks, fields: Fields) -> _Asked:
    fields, place = links.resumed(fields)
    for name, _ in fields:
        if name not in _SERVED:
            raise Refusal(400, "not-supported", f"a history has no parameter {name}", expression=(f"http.{name}",))
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
        resource=parse_json(body) if body is not None else None,
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
