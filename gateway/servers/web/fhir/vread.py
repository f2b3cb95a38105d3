"""vread: GET [base]/[type]/[id]/_history/[vid] (R4 3.1.0.3)."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.confine import is_visible
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.fhir.pending import Outcome
from gateway.servers.web.fhir.read import shown
from gateway.servers.web.services import WebServices

_LONGEST = 9


def vread(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """The resource as it stood at that version; Deleted (410) where that version is its deletion."""
    with services.database.read() as unit:
        return vread_in(services, client, request, unit)


def vread_in(services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
    """The same in a unit that reads for others too."""
    if not request.version.isascii() or not request.version.isdigit() or len(request.version) > _LONGEST:
        raise Missing("no such version")
    stored = unit.resources.version(request.kind, request.id, int(request.version))
    if not is_visible(services, client, stored):
        raise Missing("no such version of a resource")  # the words of the store for what is not there
    return shown(services, client, request, unit, stored)
