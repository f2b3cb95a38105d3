"""What is sent to an endpoint: handshake, heartbeat, or events, as requests (R4 Subscription 3.1; Backport 1.1.0).

With a topic everything is a POST of a notification Bundle. Without one, as R4 has it, an event is an empty POST, or,
where a payload is asked for, the resource itself as PUT [endpoint]/[type]/[id].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from gateway.domain.errors import Missing
from gateway.domain.resource import StoredVersion
from gateway.domain.subscription import Event, Subscriber
from gateway.flow.record.open import OpenResources
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.subscription.notification import Focus, NotificationType, Told, notification
from gateway.formats.fhir.subscription.wish import Content, Wish
from gateway.ports import UnitOfWork


@dataclass(frozen=True)
class HookRequest:
    """`body` None: an empty request."""

    method: str
    url: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Message:
    """The requests that tell of the events `first` to `last`; of none for a handshake or a heartbeat."""

    requests: tuple[HookRequest, ...]
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Caller:
    """Who speaks to whom: our own address, the subscription, what it asks for, and when."""

    base: str
    held: Subscriber
    wish: Wish = field(repr=False)
    at: datetime

    def greeting(self) -> Message:
        """The handshake: what it is answered with decides whether the subscription becomes active."""
        if self.wish.topic is None:
            method = "POST" if self.wish.content == "empty" else "HEAD"  # a PUT of a resource cannot be rehearsed
            return Message((HookRequest(method, self.wish.endpoint),))
        return Message((self._bundle("handshake", ()),))

    def pulse(self) -> Message:
        """A sign of life where there was nothing to tell."""
        return Message((self._bundle("heartbeat", ()),))

    def news(self, unit: UnitOfWork, opened: OpenResources, events: Sequence[Event]) -> Message:
        """The message for these events; whose record is opened for it stands in the unit's audit."""
        wish = self.wish
        foci = focused(unit, opened, events, wish.content, self.held.id)
        first, last = events[0].number or 0, events[-1].number or 0
        if wish.topic is not None:
            return Message((self._bundle("event-notification", foci),), first, last)
        if wish.content == "empty":
            return Message((HookRequest("POST", wish.endpoint),), first, last)
        sent = [HookRequest("PUT", _below(wish.endpoint, one.event), one.body) for one in foci if one.body is not None]
        return Message(tuple(sent), first, last)  # what is deleted or erased by now is not told of

    def _bundle(self, kind: NotificationType, foci: Sequence[Focus]) -> HookRequest:
        held, wish = self.held, self.wish
        total = foci[-1].event.number if foci else held.sent
        told = Told(self.base, held.id, wish.topic, held.state, total or 0)
        return HookRequest("POST", wish.endpoint, encode(notification(told, kind, foci, wish.content, self.at)))


def focused(
    unit: UnitOfWork, opened: OpenResources, events: Sequence[Event], content: Content, actor: str
) -> list[Focus]:
    """The events with what is shown of their resources; opens nothing unless the content is full-resource."""
    if content != "full-resource":
        return [Focus(event) for event in events]
    found = {event.id: stored for event in events if (stored := _version(unit, event)) is not None}
    bodies = opened(unit, list(found.values()), "delivery", f"subscription:{actor}")
    shown = dict(zip(found, bodies, strict=True))
    return [Focus(event, shown.get(event.id)) for event in events]


def _version(unit: UnitOfWork, event: Event) -> StoredVersion | None:
    try:
        stored = unit.resources.version(event.type, event.focus, event.version)
    except Missing:  # erased since
        return None
    return None if stored.is_deleted else stored


def _below(endpoint: str, event: Event) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{event.type}/{event.focus}"))
