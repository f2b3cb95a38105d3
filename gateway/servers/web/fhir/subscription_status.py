"""$status and $events of a Subscription: how far it has come, and events once more (Backport 1.1.0, 2.6).

A subscriber that has missed something learns it from the numbers, which have no gap, and asks for what it lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, get_args

from gateway.domain.access import Client
from gateway.domain.errors import Deleted, Invalid, Missing
from gateway.domain.subscription import Subscriber
from gateway.flow.record.asked import Resource
from gateway.flow.subscribe.message import focused
from gateway.flow.subscribe.watch import KIND
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.notification import Focus, Told, notification, status_parameters
from gateway.formats.fhir.subscription.wish import Content, Wish, read_wish
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.authorize import authorize
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

MAX_EVENTS: Final = 100
_NUMBER_DIGITS: Final = 15


def status(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A searchset with one Parameters resource, for this subscription alone."""
    _only(request.fields, OF_THE_ANSWER)
    with services.database.read() as unit:
        _, wish, held = _found(services, unit, request.id)
    said = status_parameters(_told(services, wish, held), "query-status", (), wish.content)
    entry = {"fullUrl": f"urn:uuid:{said['id']}", "resource": said, "search": {"mode": "match"}}
    return Answer(200, {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]})


def events(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A notification Bundle of type query-event with at most 100 events, the first of those asked for."""
    _only(request.fields, {*OF_THE_ANSWER, "eventsSinceNumber", "eventsUntilNumber", "content"})
    since = _number(request.fields, "eventsSinceNumber", 1)
    until = _number(request.fields, "eventsUntilNumber", 10**_NUMBER_DIGITS)
    with services.reading() as unit:
        _, wish, held = _found(services, unit, request.id)
        authorize(client, wish.interest.kind, "r")
        content = _content(request.fields, wish)
        found = unit.subscriptions.events(held.id, since - 1, min(until, held.numbered), MAX_EVENTS)
        foci: Sequence[Focus] = focused(unit, services.record.opened, found, content, held.id)
        note_interaction(unit, client, "operation", KIND, held.id, operation="events", count=len(found))
    told = _told(services, wish, held)
    return Answer(200, notification(told, "query-event", foci, content, services.clock()))


def _found(services: WebServices, unit: UnitOfWork, own_id: str) -> tuple[Resource, Wish, Subscriber]:
    stored = unit.resources.find(KIND, own_id)
    if stored is None:
        raise Missing("no such resource")
    if stored.is_deleted:
        raise Deleted("this resource is deleted")
    held = unit.subscriptions.get(own_id)
    if held is None:
        raise Missing("this Subscription is not carried out")
    resource = parse_json(services.record.opened.unseen(unit, stored))
    return resource, read_wish(resource, Reading(services.fhir_base)), held


def _told(services: WebServices, wish: Wish, held: Subscriber) -> Told:
    return Told(services.fhir_base, held.id, wish.topic, held.state, held.numbered, held.last_error)


def _content(fields: Fields, wish: Wish) -> Content:
    """Never more than the subscription itself gets."""
    levels: tuple[Content, ...] = get_args(Content)
    told = field(fields, "content")
    if told is None:
        return wish.content
    for level in levels:
        if level == told:
            return levels[min(levels.index(level), levels.index(wish.content))]
    raise Invalid(f"content is one of {', '.join(levels)}")


def _number(fields: Fields, name: str, default: int) -> int:
    told = field(fields, name)
    if told is None:
        return default
    if not (told.isascii() and told.isdigit() and len(told) <= _NUMBER_DIGITS):
        raise Invalid(f"{name} is a whole number")
    return int(told)


def _only(fields: Fields, known: Collection[str]) -> None:
    for name, _ in fields:
        if name not in known:
            raise Refusal(400, "not-supported", f"this operation has no parameter {name[:64]}")
