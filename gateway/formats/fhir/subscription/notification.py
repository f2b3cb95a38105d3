"""A notification: a history Bundle that begins with the subscription's status as Parameters (Backport 1.1.0, R4).

R4 has no SubscriptionStatus, so the status is a Parameters resource with the names of the guide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import uuid4

import msgspec

from gateway.domain.subscription import Event
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.subscription.topics import BACKPORT
from gateway.formats.fhir.subscription.wish import Content

NotificationType = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]
_STATUS: Final = {"POST": "201", "PUT": "200", "PATCH": "200", "DELETE": "204"}


@dataclass(frozen=True)
class Told:
    """What a notification says of its subscription. `total` is the number of the last event so far."""

    base: str
    id: str
    topic: str | None
    status: str
    total: int
    error: str | None = None


@dataclass(frozen=True)
class Focus:
    """An event, and the resource as it was written then; None where it is not shown or not there any more."""

    event: Event
    body: bytes | None = field(default=None, repr=False)


def status_parameters(told: Told, kind: NotificationType, events: Sequence[Event], content: Content) -> Resource:
    """The status entry; an event's focus is named unless the content is empty."""
    said: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": f"{told.base}/Subscription/{told.id}"}},
    ]
    if told.topic is not None:
        said.append({"name": "topic", "valueCanonical": told.topic})
    said += [
        {"name": "status", "valueCode": told.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(told.total)},
    ]
    said += [{"name": "notification-event", "part": _event(told, event, content)} for event in events]
    if told.error:
        said.append({"name": "error", "valueCodeableConcept": {"text": told.error}})
    profile = [f"{BACKPORT}/backport-subscription-status-r4"]
    return {"resourceType": "Parameters", "id": str(uuid4()), "meta": {"profile": profile}, "parameter": said}


def notification(told: Told, kind: NotificationType, foci: Sequence[Focus], content: Content, at: datetime) -> Resource:
    """The Bundle that is sent, or the answer to $events."""
    status = status_parameters(told, kind, [focus.event for focus in foci], content)
    first = {
        "fullUrl": f"urn:uuid:{status['id']}",
        "resource": status,
        "request": {"method": "GET", "url": f"Subscription/{told.id}/$status"},
        "response": {"status": "200"},
    }
    entries = [first] if content == "empty" else [first, *(_entry(told, focus) for focus in _last(foci))]
    return {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "meta": {"profile": [f"{BACKPORT}/backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": instant(at),
        "entry": entries,
    }


def _last(foci: Sequence[Focus]) -> Sequence[Focus]:
    """Of one version one entry, however many events there are of it."""
    found = {(one.event.type, one.event.focus, one.event.version): one for one in foci}
    return list(found.values())


def _event(told: Told, event: Event, content: Content) -> list[Resource]:
    said: list[Resource] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": instant(event.at)},
    ]
    if content != "empty":
        where = f"{told.base}/{event.type}/{event.focus}"
        said.append({"name": "focus", "valueReference": {"reference": where, "type": event.type}})
    return said


def _entry(told: Told, focus: Focus) -> Resource:
    event = focus.event
    address = f"{event.type}/{event.focus}"
    body: Any = None if focus.body is None else msgspec.Raw(focus.body)
    return element(
        fullUrl=f"{told.base}/{address}",
        resource=body,
        request={"method": event.method, "url": event.type if event.method == "POST" else address},
        response={"status": _STATUS[event.method], "lastModified": instant(event.at)},
    )
