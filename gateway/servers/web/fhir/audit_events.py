"""AuditEvent: read and search over the audit trail itself (R4 6.4, IHE ITI-81). Nobody can write one over REST.

The rows are rendered as they stand in the chain, which the search walks newest first; looking at the trail is itself
an interaction and has its row.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.audit import AUDIT_EVENTS, AuditQuery
from gateway.domain.errors import Invalid, Missing
from gateway.formats.fhir import audit_event as view
from gateway.formats.fhir import identifier
from gateway.formats.fhir.audit_event import audit_event
from gateway.formats.fhir.audit_search import AUDIT_EVENT
from gateway.formats.fhir.bundle import searchset
from gateway.formats.fhir.element import Resource
from gateway.ports import UnitOfWork
from gateway.servers.web.body import Fields
from gateway.servers.web.fhir import date_range
from gateway.servers.web.fhir.date_range import DateRange
from gateway.servers.web.fhir.exchange import Answer, FhirRequest
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.page_link import PARAMETER, page_links
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.fhir.search_request import SearchRequest, search_request
from gateway.servers.web.fhir.token_value import ID, TokenValue, alternatives, reference, token
from gateway.servers.web.services import WebServices

TYPE: Final = "AuditEvent"
MOST_COUNTED = 100_000


def read_audit_event(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """Missing (404) where the trail has no such row."""
    with services.database.read() as unit:
        return read_audit_event_in(services, client, request, unit)


def read_audit_event_in(services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
    """The same in a unit that reads for others too."""
    number = _seq(request.id)
    rows = unit.audit.search(AuditQuery(seqs=(number,)), limit=1) if number is not None else []
    if not rows:
        raise Missing("no such resource")
    shown = audit_event(rows[0], services.fhir_base, services.settings.gateway.organization)
    answer = Answer(200, shown, modified=rows[0].at)
    return Pending(
        lambda written: note_interaction(written, client, "read", TYPE, request.id),
        lambda _: answer,
    )


def search_audit_events(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A searchset, newest first; Refusal (400) for parameters that are not served."""
    return Answer(200, _Search(services, client, request).bundle())


class _Search:
    def __init__(self, services: WebServices, client: Client, request: FhirRequest) -> None:
        self._services, self._client, self._request = services, client, request
        self._links = page_links(services, client, TYPE)
        fields, place = self._links.resumed(request.fields)
        self._before: int | None = place[0] if place else None
        self._asked: SearchRequest = search_request(AUDIT_EVENT, fields, lenient=request.lenient)

    def bundle(self) -> Resource:
        services, asked = self._services, self._asked
        organization = services.settings.gateway.organization
        with services.reading() as unit:
            query = criteria(services, unit, asked.conditions)
            total = unit.audit.count(query, MOST_COUNTED + 1) if asked.only_count else None
            if total is not None and total > MOST_COUNTED:
                raise Invalid(f"more than {MOST_COUNTED} rows to count; narrow the search")
            rows = [] if asked.only_count else unit.audit.search(query, limit=asked.count + 1, before_seq=self._before)
            shown = rows[: asked.count]
            note_interaction(
                unit,
                self._client,
                "search",
                TYPE,
                parameters=[name for name, _ in asked.fields],
                patients=[one for one in query.patients or () if unit.identities.patient(one) is not None],
                count=len(shown) if total is None else total,
            )
        events = [audit_event(row, services.fhir_base, organization) for row in shown]
        more = len(rows) > asked.count
        following = self._link(shown[-1].seq) if more else None
        return searchset(
            events, services.fhir_base, self._self_url(), outcomes=asked.warnings(), next_url=following, total=total
        )

    def _self_url(self) -> str:
        base = f"{self._services.fhir_base}/{TYPE}"
        if self._request.by_post or self._before is not None:
            return self._link(self._before)
        return f"{base}?{urlencode(self._asked.fields)}" if self._asked.fields else base

    def _link(self, before: int | None) -> str:
        sealed = self._links.seal(self._asked.fields, [] if before is None else [before])
        return f"{self._services.fhir_base}/{TYPE}?{PARAMETER}={sealed}"


def criteria(services: WebServices, unit: UnitOfWork, conditions: Fields) -> AuditQuery:
    """What the parameters ask of the trail; a parameter that is repeated must be fulfilled by each."""
    span = date_range.ANY_TIME
    told: dict[str, tuple[object, ...]] = {}
    for name, text in conditions:
        if name in ("date", "_lastUpdated"):
            span = _both(span, _one_date(name, text))
            continue
        field, values = _condition(services, unit, name, text)
        former = told.get(field)
        told[field] = values if former is None else tuple(each for each in former if each in values)
    return AuditQuery(since=span.start, before=span.end, **told)  # type: ignore[arg-type]


def _condition(services: WebServices, unit: UnitOfWork, name: str, text: str) -> tuple[str, tuple[object, ...]]:
    """The field of AuditQuery that a parameter fills, and with what."""
    values = alternatives(name, text)
    base = services.fhir_base
    match name:
        case "_id":
            return "seqs", tuple(each for one in values if (each := _seq(token(name, one).value)) is not None)
        case "agent-name" | "agent:identifier":
            return "agents", tuple(token(name, one).value for one in values)
        case "patient" | "patient.identifier":
            return "patients", tuple(each for one in values for each in _of_patient(services, unit, name, one))
        case "entity":
            return "entities", tuple(_entity(name, one, base) for one in values)
    named = [token(name, one) for one in values]
    return ("outcomes", tuple(each.value for each in named)) if name == "outcome" else ("events", _events(name, named))


def _events(name: str, wanted: list[TokenValue]) -> tuple[str, ...]:
    """Events whose rendered code (type, subtype, action) is one of these."""
    found = []
    for event in sorted(AUDIT_EVENTS):
        coded = view.codes(event)[name]
        if any(one.fits(system, code) for one in wanted for system, code in coded):
            found.append(event)
    return tuple(found)


def _of_patient(services: WebServices, unit: UnitOfWork, name: str, text: str) -> tuple[str, ...]:
    """Pseudonyms: of a Patient's id, of our own identifier, or of one of the hospital's by blind index."""
    if name == "patient":
        own_id = reference(name, text, "Patient", services.fhir_base)
        stored = unit.resources.find("Patient", own_id)
        return (own_id,) if stored is None else tuple(dict.fromkeys((own_id, stored.owner)))
    wanted = token(name, text)
    if wanted.system == identifier.PATIENT:
        return (wanted.value,)
    issuers = (None,) if wanted.system is None else identifier.issuers_of(wanted.system) if wanted.system else ("",)
    return tuple(each for issuer in issuers for each in services.vault.patients(unit, issuer, wanted.value))


def _entity(name: str, text: str, base: str) -> tuple[str, str]:
    kind, _, own_id = text.removeprefix(f"{base}/").rpartition("/")
    if (kind and not kind.isalpha()) or not ID.fullmatch(own_id):
        raise Invalid(f"the parameter {name} must be [type]/[id] or [id]")
    return kind, own_id


def _one_date(name: str, text: str) -> DateRange:
    if "," in text:
        raise date_range.one_date_only(name)
    return date_range.parse(text)


def _both(one: DateRange, other: DateRange) -> DateRange:
    starts = [each.start for each in (one, other) if each.start]
    ends = [each.end for each in (one, other) if each.end]
    return DateRange(max(starts, default=None), min(ends, default=None))


def _seq(own_id: str) -> int | None:
    return int(own_id) if own_id.isascii() and own_id.isdigit() and len(own_id) <= 18 else None
