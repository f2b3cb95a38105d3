"""$everything: GET [base]/Patient/[id]/$everything, a patient's whole record (R4 Patient-operation-everything).

The record is what is sealed under the patient's key; what it refers to and belongs to nobody (organisations, devices,
practitioners) comes with the page that refers to it. In pages, oldest resource first. `start` and `end` are the dates
of care; to judge by them each resource is opened, so that a page may be short where few fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from gateway.domain.access import Client
from gateway.domain.resource import StoredVersion
from gateway.flow.record.at_once import FIRST, MOST_OPENED, MOST_SEALED, at_once
from gateway.flow.record.references import local_name, references
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.outcome import issue
from gateway.formats.fhir.search.care_date import care_range, is_care_within
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.address import STORED
from gateway.servers.web.fhir.confine import is_visible, living
from gateway.servers.web.fhir.date_range import since as since_of
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, Answer, FhirRequest, actor_of, refuse_unknown
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links, page_size
from gateway.servers.web.fhir.parameters import parameters_of
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

DEFAULT_COUNT = 100
MAX_COUNT = 500
_AT_ONCE = 200
MAX_BESIDE = 1000
MOST_JUDGED = 2000  # opened for their date of care, for one page
_SERVED = frozenset({"_count", "_since", "_type", "start", "end", *OF_THE_ANSWER, PARAMETER})
_BY_POST = {
    "start": ("valueDate",),
    "end": ("valueDate",),
    "_since": ("valueInstant",),
    "_type": ("valueCode", "valueString"),
    "_count": ("valueInteger",),
}


@dataclass(frozen=True)
class _Asked:
    fields: Fields
    count: int
    since: datetime | None
    types: frozenset[str] | None
    after: int
    care: tuple[int, int] | None = None

    def wants(self, client: Client, stored: StoredVersion) -> bool:
        return (
            not stored.is_deleted
            and (self.types is None or stored.type in self.types)
            and (self.since is None or stored.at >= self.since)
            and permits(client.scopes, stored.type, "r")
        )


def everything(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A searchset; Missing (404) or Deleted (410) for a Patient that is not there."""
    links = page_links(services, client, f"$everything/{request.id}")
    refuse_unknown(request, _SERVED)
    asked = _asked(links, tuple(one for one in _fields(request) if one[0] in _SERVED))
    with services.reading() as unit:
        patient = living(services, unit, client, "Patient", request.id)
        page, following = _Finding(services, unit, client, asked).page(patient.owner)
        bodies = list(_opened(services, unit, page))
        if len(bodies) < len(page):
            page, following = page[: len(bodies)], page[len(bodies) - 1].key
        services.record.opened.tell(unit, page, "read", actor_of(client))
        beside = [
            one
            for one in _beside(services, unit, client, bodies, {one.name for one in page})
            if asked.types is None or one.type in asked.types
        ]
        others = list(_opened(services, unit, beside[:MAX_BESIDE]))
        services.record.opened.tell(unit, beside[: len(others)], "read", actor_of(client))
        whose = patients_of(services, [patient])
        note_interaction(
            unit, client, "operation", "Patient", patient.id, patients=whose, count=len(page), operation="everything"
        )
    entries = [_entry(services, one, body, "match") for one, body in zip(page, bodies, strict=True)]
    entries += [_entry(services, one, body, "include") for one, body in zip(beside, others, strict=False)]
    if len(others) < len(beside):
        outcome = issue("incomplete", "more is referred to than one page holds beside the record", severity="warning")
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    address = f"{services.fhir_base}/Patient/{request.id}/$everything"
    urls = [{"relation": "self", "url": address}]
    if following is not None:
        token = links.seal(asked.fields, [following])
        urls.append({"relation": "next", "url": f"{address}?{PARAMETER}={token}"})
    total = len(page) if asked.after == 0 and following is None else None
    return Answer(200, element(resourceType="Bundle", type="searchset", total=total, link=urls, entry=entries))


def _asked(links: PageLinks, fields: Fields) -> _Asked:
    fields, place = links.resumed(fields)
    count, since, start, end = (field(fields, name) for name in ("_count", "_since", "start", "end"))
    types = frozenset(word for name, value in fields if name == "_type" for word in value.split(","))
    if not types <= STORED:
        raise Refusal(400, "value", "_type names resource types of this server, by commas", expression=("http._type",))
    return _Asked(
        fields,
        page_size(count, DEFAULT_COUNT, MAX_COUNT),
        since_of(since) if since is not None else None,
        types or None,
        place[0] if place else 0,
        care_range(start, end),
    )


def _fields(request: FhirRequest) -> Fields:
    """Those of the address, and of the Parameters of a POST (R4 3.2.0.1)."""
    if not request.body and request.resource is None:
        return request.fields
    told = parameters_of(parsed(request), _BY_POST)
    return (*request.fields, *((name, str(value)) for name, value in told.items()))


def _opened(services: WebServices, unit: UnitOfWork, page: Sequence[StoredVersion]) -> Iterator[bytes]:
    """Bodies one by one, until they are heavy; one at least."""
    weight = 0
    for one in page:
        if weight > MOST_OPENED:
            return
        body = services.record.opened.unseen(unit, one)
        weight += len(body)
        yield body


@dataclass(frozen=True)
class _Finding:
    services: WebServices
    unit: UnitOfWork
    client: Client
    asked: _Asked

    def page(self, owner: str) -> tuple[list[StoredVersion], int | None]:
        """What a page shows of a record, and behind which key the next begins, None where there is none."""
        found: list[StoredVersion] = []
        after, opened, weight, limit = self.asked.after, 0, 0, FIRST
        while True:
            some = self.unit.resources.of_owner(owner, limit, after)
            for one in some:
                if self.asked.wants(self.client, one):
                    opened += self.asked.care is not None
                    if self._is_in_time(one):
                        if len(found) == self.asked.count or weight > MOST_SEALED:
                            return found, after
                        found.append(one)
                        weight += len(one.sealed)
                after = one.key
            if len(some) < limit:
                return found, None
            if opened >= MOST_JUDGED:
                return found, after
            limit = at_once(some, _AT_ONCE)

    def _is_in_time(self, stored: StoredVersion) -> bool:
        if self.asked.care is None:
            return True
        body = self.services.record.opened.unseen(self.unit, stored)
        return is_care_within(parse_json(body), self.asked.care)


def _beside(
    services: WebServices, unit: UnitOfWork, client: Client, bodies: Sequence[bytes], own: set[tuple[str, str]]
) -> list[StoredVersion]:
    """What the page refers to and belongs to nobody."""
    names = sorted({name for body in bodies for name in _names(services, body)} - own)
    house = services.record.opened.vault.house().pseudonym
    found = unit.resources.named([name for name in names if permits(client.scopes, name[0], "r")])
    beside = [one for one in found.values() if one.owner == house and not one.is_deleted]
    return [one for one in beside if is_visible(services, client, one)]


def _names(services: WebServices, body: bytes) -> Iterator[tuple[str, str]]:
    for reference in references(parse_json(body)):
        name = local_name(reference, services.fhir_base)
        if name is not None:
            yield name


def _entry(services: WebServices, stored: StoredVersion, body: bytes, mode: str) -> Resource:
    address = f"{services.fhir_base}/{stored.type}/{stored.id}"
    return {"fullUrl": address, "resource": msgspec.Raw(body), "search": {"mode": mode}}
