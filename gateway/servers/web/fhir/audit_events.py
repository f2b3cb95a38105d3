"""AuditEvent: read and search over the audit trail itself (R4 6.4, IHE ITI-81). Nobody can write one over REST.

The rows are rendered as they stand in the chain, which the search walks newest first; looking at the trail is itself
an interaction and has its row.
"""

from __future__ import annotations

from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.audit import AuditQuery, AuditRow
from gateway.domain.errors import Invalid, Missing, Unsupported
from gateway.formats.fhir.audit_event import audit_event
from gateway.formats.fhir.audit_search import TRAIL, trail_query
from gateway.formats.fhir.bundle import searchset
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.search.query import SearchQuery
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.search.subset import subset
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.audit_query import audit_query, row_number
from gateway.servers.web.fhir.exchange import Answer, FhirRequest
from gateway.servers.web.fhir.note_interaction import note_interaction
from gateway.servers.web.fhir.page_link import PARAMETER, PageLinks, page_links
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.fhir.search import left_out, refused_search
from gateway.servers.web.services import WebServices

MOST_COUNTED = 100_000


def read_audit_event(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """Missing (404) where the trail has no such row."""
    with services.database.read() as unit:
        return read_audit_event_in(services, client, request, unit)


def read_audit_event_in(services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
    """The same in a unit that reads for others too."""
    number = row_number(request.id)
    rows = unit.audit.search(AuditQuery(seqs=(number,)), limit=1) if number is not None else []
    if not rows:
        raise Missing("no such resource")
    shown = audit_event(rows[0], services.fhir_base, services.settings.gateway.organization)
    answer = Answer(200, shown, modified=rows[0].at)
    return Pending(
        lambda written: note_interaction(written, client, "read", TRAIL, request.id),
        lambda _: answer,
    )


def search_audit_events(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """A searchset, newest first; Refusal (400) for parameters that are not served."""
    return Answer(200, _Search(services, client, request).bundle())


def asked_of_trail(
    services: WebServices, client: Client, request: FhirRequest
) -> tuple[PageLinks, SearchQuery, int | None]:
    """The search, and before which row; Refusal (400) for parameters that are not served."""
    links = page_links(services, client, TRAIL)
    fields, place = links.resumed(request.fields)
    reading = Reading(services.fhir_base, services.clock())
    try:
        query = trail_query(fields, reading, lenient=request.lenient)
    except Unsupported as error:
        raise refused_search(error) from None
    return links, query, place[0] if place else None


class _Search:
    def __init__(self, services: WebServices, client: Client, request: FhirRequest) -> None:
        self._services, self._client, self._request = services, client, request
        self._links, self._query, self._before = asked_of_trail(services, client, request)

    def bundle(self) -> Resource:
        services, asked = self._services, self._query
        with services.reading() as unit:
            query = audit_query(services, unit, asked.criteria)
            total = self._total(unit, query)
            most = asked.count
            rows = [] if asked.only_count else unit.audit.search(query, limit=most + 1, before_seq=self._before)
            note_interaction(
                unit,
                self._client,
                "search",
                TRAIL,
                parameters=[name for name, _ in asked.fields],
                patients=[one for one in query.patients or () if unit.identities.patient(one) is not None],
                count=len(rows[:most]) if total is None else total,
            )
        following = self._link(rows[most - 1].seq) if len(rows) > most else None
        return searchset(
            [self._shown(row) for row in rows[:most]],
            services.fhir_base,
            self._self_url(),
            outcomes=left_out(asked),
            next_url=following,
            total=total,
        )

    def _total(self, unit: UnitOfWork, query: AuditQuery) -> int | None:
        if not self._query.only_count and self._query.total != "accurate":
            return None
        total = unit.audit.count(query, MOST_COUNTED + 1)
        if total > MOST_COUNTED:
            raise Invalid(f"more than {MOST_COUNTED} rows to count; narrow the search")
        return total

    def _shown(self, row: AuditRow) -> Resource:
        event = audit_event(row, self._services.fhir_base, self._services.settings.gateway.organization)
        return subset(event, self._query.summary, self._query.elements)

    def _self_url(self) -> str:
        base = f"{self._services.fhir_base}/{TRAIL}"
        if self._request.by_post or self._before is not None:
            return self._link(self._before)
        return f"{base}?{urlencode(self._query.fields)}" if self._query.fields else base

    def _link(self, before: int | None) -> str:
        sealed = self._links.seal(self._query.fields, [] if before is None else [before])
        return f"{self._services.fhir_base}/{TRAIL}?{PARAMETER}={sealed}"
