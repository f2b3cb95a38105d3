"""read: GET [base]/[type]/[id] (R4 3.1.0.2)."""

from __future__ import annotations

from typing import Final

from gateway.domain.access import Client
from gateway.domain.errors import Deleted, Invalid, Missing, Unsupported
from gateway.domain.identity import Purpose
from gateway.domain.resource import StoredVersion
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.search.query import search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.search.subset import subset
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.confine import see
from gateway.servers.web.fhir.exchange import (
    OF_THE_ANSWER,
    Answer,
    FhirRequest,
    actor_of,
    not_modified,
    refuse_unknown,
    version_headers,
)
from gateway.servers.web.fhir.note_interaction import Action, note_interaction, patients_of
from gateway.servers.web.fhir.pending import Outcome, Pending
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

_IN_PART: Final = ("_summary", "_elements")
_SERVED: Final = (*OF_THE_ANSWER, *_IN_PART)


def read(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """Missing (404) where there never was such a resource, Deleted (410) where it is gone."""
    with services.database.read() as unit:
        return read_in(services, client, request, unit)


def read_in(services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
    """The same in a unit that reads for others too."""
    stored = unit.resources.find(request.kind, request.id)
    if stored is None:
        raise Missing("no such resource")
    return shown(services, client, request, unit, stored)


def shown(
    services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork, stored: StoredVersion
) -> Outcome:
    """One version as it was written, once its opening is in the audit trail; 304 where the client has it already.

    One row tells of both, the interaction and the opening: `fhir:read` with its `purpose`.
    """
    if request.fields:
        refuse_unknown(request, _SERVED)
    see(services, client, stored)
    if stored.is_deleted:
        raise Deleted("this resource is deleted")
    known = not_modified(stored, request)
    if known is not None:
        return known
    body = services.record.opened.unseen(unit, stored)
    part = _part(request, stored.type, body)
    answer = Answer(200, part, version_headers(stored), b"" if part else body, stored.at)
    action: Action = "vread" if request.interaction == "vread" else "read"
    patients, actor = patients_of(services, [stored]), actor_of(client)
    purpose: Purpose | None = "read" if patients else None

    def write(written: UnitOfWork) -> Exception | None:
        note_interaction(
            written,
            client,
            action,
            stored.type,
            stored.id,
            version=stored.version,
            patients=patients,
            purpose=purpose,
        )
        return services.spend(written, actor, patients)

    def then(spent: Exception | None) -> Answer:
        said = unless(spent, answer)
        services.openings.keep(actor, patients, services.clock())
        return said

    return Pending(write, then)


def _part(request: FhirRequest, kind: str, body: bytes) -> Resource | None:
    """What `_summary` and `_elements` leave of it (R4 3.1.0.1.10: for every interaction); None where all is shown."""
    asked = [(name, value) for name, value in request.fields if name in _IN_PART]
    if not asked:
        return None
    try:
        query = search_query(kind, asked, Reading(), lenient=request.lenient)
    except Unsupported as error:
        raise Refusal(400, "not-supported", str(error), expression=(error.place,)) from None
    if query.summary == "count":
        raise Invalid("one resource is not counted: _summary is true, text, data or false")
    in_part = query.summary != "false" or query.elements
    return subset(parse_json(body), query.summary, query.elements) if in_part else None


def unless(spent: Exception | None, answer: Answer) -> Answer:
    """The answer, where the quota of openings is not used up."""
    if spent is not None:
        raise spent
    return answer
