"""respond later: a search, batch or transaction with Prefer: respond-async becomes a job (R4 3.1.0.7).

The request lies sealed in the job's row and its input file. What is wrong with it as a whole is told at once.
"""

from __future__ import annotations

from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.flow.bulk.asked import AskedRequest
from gateway.formats.fhir.audit_search import TRAIL
from gateway.servers.web.fhir.audit_events import asked_of_trail
from gateway.servers.web.fhir.bundle import asked_bundle
from gateway.servers.web.fhir.compartment import place_of
from gateway.servers.web.fhir.exchange import FhirRequest, without_async
from gateway.servers.web.fhir.job import begun
from gateway.servers.web.fhir.pending import Outcome
from gateway.servers.web.fhir.search import asked_search
from gateway.servers.web.services import WebServices


def bundle_later(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """202 for a Bundle that can be read and has no entry too many."""
    asked_bundle(services, request)
    asked = _asked(request, services.fhir_base, "[base]", "POST")
    return begun(services, client, "request", asked, request.body)


def search_later(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """202 for a search whose parameters are served. Those of a form stay out of the address: they may name patients."""
    if request.kind == TRAIL:
        asked_of_trail(services, client, request)
    else:
        asked_search(services, client, request)
    url = f"{services.fhir_base}/{place_of(request)}{'/_search' if request.by_post else ''}"
    url += f"?{urlencode(request.fields)}" if request.fields and not request.by_post else ""
    shape = "Patient/[id]/[type]" if request.compartment else "[type]"
    shape, method = (f"{shape}/_search", "POST") if request.by_post else (shape, "GET")
    return begun(services, client, "request", _asked(request, url, shape, method))


def _asked(request: FhirRequest, url: str, shape: str, method: str) -> AskedRequest:
    headers = {**request.headers, "prefer": without_async(request.headers.get("prefer", ""))}
    return AskedRequest(
        url=url,
        shape=shape,
        method=method,
        kind=request.kind,
        fields=request.fields,
        lenient=request.lenient,
        headers=headers,
        compartment=request.compartment,
    )
