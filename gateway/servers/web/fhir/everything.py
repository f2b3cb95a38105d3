"""$everything: GET [base]/Patient/[id]/$everything, a patient's whole record (R4 Patient-operation-everything).

The record is what is sealed under the patient's key; what it refers to and belongs to nobody (organisations, devices,
practitioners) comes with the page that refers to it. In pages, oldest resource first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from gateway.domain.access import Client
from gateway.domain.errors import Deleted, Missing
from gateway.domain.resource import StoredVersion
from gateway.flow.record.references import local_name, references
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.confine import is_visible, see
from gateway.servers.web.fhir.date_range import parse
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links, page_size
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

DEFAULT_COUNT = 100
MAX_COUNT = 500
_AT_ONCE = 200
_SERVED = frozenset({"_count", "_since", "_type", "_format", PARAMETER})


@dataclass(frozen=True)
class _Asked:
    fields: Fields
    count: int
    since: datetime | None
    types: frozenset[str] | None
    after: int

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
    asked = _asked(links, request.fields)
    with services.reading() as unit:
        patient = unit.resources.find("Patient", request.id)
        if patient is None:
            raise Missing("no such resource")
        see(services, client, patient)
        if patient.is_deleted:
            raise Deleted("this resource is deleted")
        found = _found(unit, client, patient.owner, asked)
        page = found[: asked.count]
        bodies = services.record.opened(unit, page, "read", actor_of(client))
        beside = [
            one
            for one in _beside(services, unit, client, bodies, {one.name for one in page})
            if asked.types is None or one.type in asked.types
        ]
        others = services.record.opened(unit, beside, "read", actor_of(client))
        whose = patients_of(services, [patient])
        note_interaction(
            unit, client, "operation", "Patient", patient.id, patients=whose, count=len(page), operation="everything"
        )
    entries = [_entry(services, one, body, "match") for one, body in zip(page, bodies, strict=True)]
    entries += [_entry(services, one, body, "include") for one, body in zip(beside, others, strict=True)]
    address = f"{services.fhir_base}/Patient/{request.id}/$everything"
    urls = [{"relation": "self", "url": address}]
    if len(found) > asked.count:
        token = links.seal(asked.fields, [page[-1].key])
        urls.append({"relation": "next", "url": f"{address}?{PARAMETER}={token}"})
    total = len(page) if asked.after == 0 and len(found) <= asked.count else None
    return Answer(200, element(resourceType="Bundle", type="searchset", total=total, link=urls, entry=entries))


def _asked(links: PageLinks, fields: Fields) -> _Asked:
    fields, place = links.resumed(fields)
    for name, _ in fields:
        if name not in _SERVED:
            raise Refusal(400, "not-supported", f"$everything has no parameter {name}", expression=(f"http.{name}",))
    count, since, types = (field(fields, name) for name in ("_count", "_since", "_type"))
    return _Asked(
        fields,
        page_size(count, DEFAULT_COUNT, MAX_COUNT),
        parse(since).start if since is not None else None,
        frozenset(types.split(",")) if types is not None else None,
        place[0] if place else 0,
    )


def _found(unit: UnitOfWork, client: Client, owner: str, asked: _Asked) -> list[StoredVersion]:
    """One more than a page holds, where there are as many."""
    found: list[StoredVersion] = []
    after = asked.after
    while len(found) <= asked.count:
        some = unit.resources.of_owner(owner, _AT_ONCE, after)
        found += [one for one in some if asked.wants(client, one)]
        if len(some) < _AT_ONCE:
            break
        after = some[-1].key
    return found[: asked.count + 1]


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
