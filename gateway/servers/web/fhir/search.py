"""search-type: GET [base]/[type]?... and POST [base]/[type]/_search, also in a compartment, and in all types together
(search-system: GET [base]?..., R4 3.1.0.9, 3.1.1).

Strict unless the client prefers leniency: an unknown parameter is an error. What was opened to be shown is in the
audit trail before the answer leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlencode

import msgspec

from gateway.domain.access import Client
from gateway.domain.criterion import Place
from gateway.domain.errors import Unsupported
from gateway.flow.record.search import MAX_INCLUDED, FoundPage, Position, SearchResources, Shown
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.search.query import SearchQuery, search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.servers.web.body import Fields
from gateway.servers.web.fhir.compartment import ALL, place_of, within
from gateway.servers.web.fhir.confine import confined, is_visible
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.fhir.read import unless
from gateway.servers.web.noted_reading import NotedReading
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

_ANY_KEY = (1 << 63) - 1


def search(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """A searchset Bundle; Refusal (400) for parameters that are not served."""
    links = page_links(services, client, place_of(request))
    query, position = asked_search(services, client, request)
    with services.database.read() as unit:
        noted = NotedReading(unit)
        opened = services.record.opened
        step = SearchResources(
            lambda stored: opened.unseen(noted, stored),
            services.fhir_base,
            lambda stored: is_visible(services, client, stored),
        )
        inside = within(services, noted, client, request, query)
        narrowed = replace(query, criteria=(*confined(services, client, query), *inside.criteria))
        try:
            page = step(noted, narrowed, may_read=lambda kind: permits(client.scopes, kind, "r"), position=position)
        except Unsupported as error:
            raise refused_search(error) from None
        shown = [each.stored for each in (*page.matches, *page.included)]
        opened.tell(noted, shown, "search", actor_of(client))
        note_interaction(
            noted,
            client,
            "search",
            request.kind or ALL,
            patients=patients_of(services, [*inside.patient, *shown]),
            parameters=[name for name, _ in query.fields],
            found=[each.stored.id for each in page.matches],
            count=page.total if query.only_count else len(page.matches),
        )
    outcomes = [*left_out(query), *_outcomes(page), *_unread(inside.left_out)]
    urls = _links(f"{services.fhir_base}/{place_of(request)}".rstrip("/"), request, links, query, page)
    answer = Answer(200, _bundle(services.fhir_base, urls, page, outcomes))

    def then(spent: Exception | None) -> Answer:
        said = unless(spent, answer)
        services.shown(noted)
        return said

    return Pending(lambda written: services.write_down(written, noted), then)


def asked_search(services: WebServices, client: Client, request: FhirRequest) -> tuple[SearchQuery, Position | None]:
    """The search, and from where on; Refusal (400) for parameters that are not served."""
    fields, position = _asked(page_links(services, client, place_of(request)), request.fields)
    reading = Reading(services.fhir_base, services.clock())
    try:
        return search_query(request.kind, fields, reading, lenient=request.lenient), position
    except Unsupported as error:
        raise refused_search(error) from None


def left_out(query: SearchQuery) -> Iterator[Resource]:
    """What a lenient client must know of its search."""
    for name, reason in query.dropped:
        yield issue("not-supported", f"left out: {reason}", (f"http.{name}",), severity="warning")


def refused_search(error: Unsupported) -> Refusal:
    return Refusal(400, "not-supported", str(error), expression=(error.place,) if error.place else ())


def _asked(links: PageLinks, fields: Fields) -> tuple[Fields, Position | None]:
    """The parameters themselves, or what a page link stands for; some clients add the size that they want of it."""
    sealed, place = links.resumed(fields, beside=(*OF_THE_ANSWER, "_count"))
    if place is None:
        return sealed, None
    until, after = place
    counts = tuple((name, value) for name, value in fields if name == "_count")
    asked = (*(one for one in sealed if not counts or one[0] != "_count"), *counts)
    return asked, Position(until, Place(tuple(after[0]), after[1]) if after else None)


def _sealed(links: PageLinks, query: SearchQuery, position: Position) -> str:
    after = position.after and [list(position.after.values), position.after.key]
    return links.seal(query.fields, [position.until, after])


def _links(address: str, request: FhirRequest, links: PageLinks, query: SearchQuery, page: FoundPage) -> list[Resource]:
    urls: list[Resource] = [{"relation": "self", "url": _self_url(address, request, links, query)}]
    if page.following is not None:
        urls.append({"relation": "next", "url": f"{address}?{PARAMETER}={_sealed(links, query, page.following)}"})
    return urls


def _bundle(base: str, urls: Sequence[Resource], page: FoundPage, outcomes: Sequence[Resource]) -> Resource:
    entries = [
        *_entries(base, page.matches, "match"),
        *_entries(base, page.included, "include"),
        *({"resource": outcome, "search": {"mode": "outcome"}} for outcome in outcomes),
    ]
    return element(resourceType="Bundle", type="searchset", total=page.total, link=list(urls), entry=entries)


def _entries(base: str, shown: Sequence[Shown], mode: str) -> Iterator[Resource]:
    for each in shown:
        resource = each.part if each.part is not None else msgspec.Raw(each.body)
        yield {"fullUrl": f"{base}/{each.stored.type}/{each.stored.id}", "resource": resource, "search": {"mode": mode}}


def _unread(kinds: Sequence[str]) -> Iterator[Resource]:
    """In a search of all types."""
    if kinds:
        yield issue("forbidden", f"left out, no scope for them: {', '.join(kinds)}", severity="warning")


def _outcomes(page: FoundPage) -> Iterator[Resource]:
    """What the client must know of this answer."""
    for kind in sorted(page.withheld):
        yield issue("forbidden", f"{kind} is not included: no scope for it", severity="warning")
    if page.is_cut:
        yield issue(
            "incomplete", f"more than {MAX_INCLUDED} resources, or too many rounds, to include", severity="warning"
        )


def _self_url(address: str, request: FhirRequest, links: PageLinks, query: SearchQuery) -> str:
    """What was searched for. A search by POST kept its parameters out of the URL, and so does its link."""
    token = next((value for name, value in request.fields if name == PARAMETER), None)
    if token is None and request.by_post:
        try:
            token = _sealed(links, query, Position(_ANY_KEY))
        except Refusal:  # too long for an address
            return address
    if token is not None:
        return f"{address}?{PARAMETER}={token}"
    return f"{address}?{urlencode(query.fields)}" if query.fields else address
