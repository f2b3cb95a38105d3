"""compartment: what narrows a search to one patient's compartment (R4 2.2.3, 3.1.1.3: GET [base]/Patient/[id]/[type]),
and one in all types (GET [base]?_type=...) to what may be searched.

The patient must be there, and seen by who asks. Types that no scope covers are refused where they are named, and told
of where all are searched: a shorter list must not pass for a whole one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.domain.access import Client
from gateway.domain.criterion import EVERY_TYPE, Criterion, OfTypes
from gateway.domain.resource import StoredVersion
from gateway.flow.scopes import permits
from gateway.formats.fhir.search.compartment import compartment_types, every_type, in_compartment
from gateway.formats.fhir.search.query import SearchQuery
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.authorize import authorize
from gateway.servers.web.fhir.confine import living
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.services import WebServices

ALL = "*"


@dataclass(frozen=True)
class Within:
    """What a search is narrowed by, whose compartment it is, and the types that want of a scope leaves out."""

    criteria: tuple[Criterion, ...] = ()
    patient: tuple[StoredVersion, ...] = ()
    left_out: tuple[str, ...] = ()


def place_of(request: FhirRequest) -> str:
    """What is searched, as the address has it behind [base]."""
    return searched_place(request.compartment, request.kind)


def searched_place(compartment: str, kind: str) -> str:
    return f"Patient/{compartment}/{kind or ALL}" if compartment else kind


def within(services: WebServices, unit: UnitOfWork, client: Client, request: FhirRequest, query: SearchQuery) -> Within:
    """Nothing for a search of a whole type; Missing (404) or Deleted (410) where there is no such Patient."""
    if not request.compartment:
        return Within() if request.kind != EVERY_TYPE else _of_all_types(client, query)
    patient = living(services, unit, client, "Patient", request.compartment)
    if request.kind != EVERY_TYPE:
        return Within(in_compartment(request.compartment, (request.kind,)), (patient,))
    readable, left_out = _readable(client, query, compartment_types())
    return Within(in_compartment(request.compartment, readable), (patient,), left_out)


def _of_all_types(client: Client, query: SearchQuery) -> Within:
    readable, left_out = _readable(client, query, every_type())
    return Within((OfTypes(readable),), (), left_out)


def _readable(client: Client, query: SearchQuery, possible: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the types that are asked for those that may be searched, and those that may not."""
    kinds = [kind for kind in sorted(query.kinds or possible) if kind in possible]
    readable = [kind for kind in kinds if permits(client.scopes, kind, "s") and permits(client.scopes, kind, "r")]
    for kind in kinds if query.kinds or not readable else ():
        authorize(client, kind, "s")
        authorize(client, kind, "r")
    return tuple(readable), tuple(kind for kind in kinds if kind not in readable)
