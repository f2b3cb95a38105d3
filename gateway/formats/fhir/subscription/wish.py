"""What a Subscription resource asks for: of which writes to tell, whom, how much (R4 Subscription; Backport 1.1.0).

Everything that could not be carried out is refused when it is written, with the element: a subscription that is
accepted and never fires would be a silent loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl

from gateway.domain.criterion import Criterion, Wanted
from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.resource import Change
from gateway.formats.fhir.search.confirms import confirms
from gateway.formats.fhir.search.parameters import types
from gateway.formats.fhir.search.query import search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.topics import BACKPORT, WRITTEN, Interaction, is_canonical, topic_of
from gateway.formats.fhir.wire.issue import refused

Content = Literal["empty", "id-only", "full-resource"]
MAX_HEADERS: Final = 10
MAX_FILTERS: Final = 10
MAX_TOGETHER: Final = 100
_HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}):[ \t]*([\x20-\x7e\t]{0,2048})")
_RESERVED: Final = frozenset(
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"]
)
_JSON: Final = frozenset({"application/fhir+json", "application/json"})
_LONGEST_URL: Final = 1024


@dataclass(frozen=True)
class Interest:
    """Writes to `kind` by one of `interactions`, where the resource fits all criteria, and since then all `newly`."""

    kind: str
    interactions: frozenset[Interaction]
    criteria: tuple[Criterion, ...]
    newly: tuple[Criterion, ...] = ()

    def meets(self, change: Change, base: str) -> bool:
        """A deleted resource is judged as it was."""
        if change.stored.type != self.kind or _interaction(change) not in self.interactions:
            return False
        resource = change.resource if change.resource is not None else change.previous
        return resource is not None and confirms(resource, self.criteria, base) and self._is_new(change, base)

    def _is_new(self, change: Change, base: str) -> bool:
        if not self.newly:
            return True
        before = change.previous is not None and confirms(change.previous, self.newly, base)
        return not before and change.resource is not None and confirms(change.resource, self.newly, base)


@dataclass(frozen=True)
class Wish:
    """`topic` is None for a Subscription without one, which is told of by the resource itself or by an empty POST.

    `heartbeat` and `timeout` are seconds.
    """

    interest: Interest
    endpoint: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    topic: str | None
    content: Content
    heartbeat: int | None
    timeout: int | None
    together: int
    ends_at: datetime | None


def read_wish(resource: Mapping[str, Any], reading: Reading) -> Wish:
    """InvalidResource with the element that cannot be carried out."""
    channel = resource.get("channel")
    if not isinstance(channel, dict):
        raise refused("required", "a Subscription has a channel", "Subscription.channel")
    if channel.get("type") != "rest-hook":
        raise refused("not-supported", "the only channel that is served is rest-hook", "Subscription.channel.type")
    criteria = str(resource.get("criteria", ""))
    by_topic = is_canonical(criteria)
    return Wish(
        interest=_of_topic(resource, criteria, reading) if by_topic else _of_search(criteria, reading),
        endpoint=_endpoint(channel),
        headers=tuple(_headers(channel)),
        topic=criteria if by_topic else None,
        content=_content(channel, by_topic=by_topic),
        heartbeat=_whole(channel, "backport-heartbeat-period", 1, 86_400) if by_topic else None,
        timeout=_whole(channel, "backport-timeout", 1, 300),
        together=(_whole(channel, "backport-max-count", 1, 1_000_000) or 1) if by_topic else 1,
        ends_at=_end(resource),
    )


def _interaction(change: Change) -> Interaction:
    if change.resource is None:
        return "delete"
    return "create" if change.previous is None else "update"


def _of_search(criteria: str, reading: Reading) -> Interest:
    kind, found = read_search(criteria, reading, "Subscription.criteria")
    return Interest(kind, WRITTEN, found)


def _of_topic(resource: Mapping[str, Any], canonical: str, reading: Reading) -> Interest:
    topic = topic_of(canonical)
    if topic is None:
        text = "there is no such topic here; [base]/metadata names those that there are"
        raise refused("not-supported", text, "Subscription.criteria")
    place = "Subscription.criteria.extension"
    filters = [one.get("valueString") for one in _extensions(resource.get("_criteria"), "backport-filter-criteria")]
    if len(filters) > MAX_FILTERS:
        raise refused("too-costly", f"a Subscription has at most {MAX_FILTERS} filters", place)
    wanted: list[Criterion] = []
    for one in filters:
        kind, found = read_search(str(one), reading, place)
        if kind != topic.kind:
            raise refused("not-supported", f"this topic is filtered by parameters of {topic.kind} only", place)
        wanted += found
    newly = read_search(f"{topic.kind}?{topic.becomes}", reading, place)[1] if topic.becomes else ()
    return Interest(topic.kind, topic.interactions, tuple(wanted), newly)


def read_search(text: str, reading: Reading, place: str) -> tuple[str, tuple[Criterion, ...]]:
    """Type and criteria of `Type?name=value`; all of what is asked can be judged by the resource alone."""
    kind, _, query = text.removeprefix(f"{reading.base}/").partition("?")
    if kind not in types():
        raise refused("not-supported", "the criteria are [type]?[search] of a type that is searched here", place)
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=30, errors="strict")
        found = search_query(kind, fields, reading)
    except (Unsupported, Invalid) as error:
        raise refused("not-supported", str(error), place) from None
    except (UnicodeDecodeError, ValueError):
        raise refused("value", "the criteria are no search of at most 30 parameters in UTF-8", place) from None
    if found.includes or found.order or found.elements or any(name.startswith("_summary") for name, _ in fields):
        raise refused("not-supported", "the criteria name what is to fit, not how it is shown", place)
    if not all(isinstance(one, Wanted) for one in found.criteria):
        raise refused("not-supported", "chains and _has are not judged when a resource is written", place)
    return kind, found.criteria


def _endpoint(channel: Mapping[str, Any]) -> str:
    endpoint = channel.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint or len(endpoint) > _LONGEST_URL:
        raise refused("required", "a rest-hook has an endpoint", "Subscription.channel.endpoint")
    return endpoint


def _headers(channel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    told = channel.get("header", [])
    place = "Subscription.channel.header"
    if len(told) > MAX_HEADERS:
        raise refused("too-costly", f"a channel has at most {MAX_HEADERS} headers", place)
    for one in told:
        match = _HEADER.fullmatch(str(one))
        if match is None or match[1].lower() in _RESERVED:
            raise refused("value", "a header is `Name: value`, and none that the protocol itself sets", place)
        yield match[1], match[2]


def _content(channel: Mapping[str, Any], *, by_topic: bool) -> Content:
    """Without topic a payload is the resource itself; with one the extension says how much, or nothing."""
    payload = channel.get("payload")
    if payload is not None and str(payload).partition(";")[0].strip() not in _JSON:
        raise refused("not-supported", "the payload is application/fhir+json or none", "Subscription.channel.payload")
    told = [one.get("valueCode") for one in _extensions(channel.get("_payload"), "backport-payload-content")]
    if not by_topic:
        return "full-resource" if payload is not None else "empty"
    for known in get_args(Content):
        if told == [known]:
            found: Content = known
            return found
    if told:
        text = f"the content is one of {', '.join(get_args(Content))}"
        raise refused("value", text, "Subscription.channel.payload.extension")
    return "empty"


def _whole(channel: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    values = [
        value
        for one in _extensions(channel, name)
        for member, value in one.items()
        if member in ("valueUnsignedInt", "valuePositiveInt", "valueInteger")
    ]
    if not values:
        return None
    if len(values) > 1 or type(values[0]) is not int or not least <= values[0] <= most:
        raise refused("value", f"{name} is one number from {least} to {most}", "Subscription.channel.extension")
    return min(values[0], MAX_TOGETHER) if name == "backport-max-count" else values[0]


def _end(resource: Mapping[str, Any]) -> datetime | None:
    end = resource.get("end")
    if end is None:
        return None
    try:
        return datetime.fromisoformat(str(end))
    except ValueError:
        raise refused("value", "the end is no instant", "Subscription.end") from None


def _extensions(node: Any, name: str) -> list[Mapping[str, Any]]:
    found = node.get("extension", []) if isinstance(node, dict) else []
    return [one for one in found if isinstance(one, dict) and one.get("url") == f"{BACKPORT}/{name}"]
