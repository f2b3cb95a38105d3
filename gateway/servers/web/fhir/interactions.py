"""Which interactions there are: shape of an address and method to what runs (R4 3.1.0)."""

from __future__ import annotations

from gateway.domain.access import Client
from gateway.formats.fhir.audit_search import TRAIL
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir import bulk, job
from gateway.servers.web.fhir.audit_events import read_audit_event, read_audit_event_in, search_audit_events
from gateway.servers.web.fhir.bundle import bundle
from gateway.servers.web.fhir.confine import record_of
from gateway.servers.web.fhir.create import create
from gateway.servers.web.fhir.delete import delete
from gateway.servers.web.fhir.everything import everything
from gateway.servers.web.fhir.exchange import FhirRequest, prefers_async
from gateway.servers.web.fhir.history import history
from gateway.servers.web.fhir.interaction import Handler, Interaction
from gateway.servers.web.fhir.patch import patch
from gateway.servers.web.fhir.pending import Outcome
from gateway.servers.web.fhir.process_message import process_message
from gateway.servers.web.fhir.read import read, read_in
from gateway.servers.web.fhir.recall import recall
from gateway.servers.web.fhir.respond_later import bundle_later, search_later
from gateway.servers.web.fhir.search import search
from gateway.servers.web.fhir.sign import sign
from gateway.servers.web.fhir.subscription_status import events, status
from gateway.servers.web.fhir.update import update
from gateway.servers.web.fhir.validate import validate
from gateway.servers.web.fhir.vread import vread, vread_in
from gateway.servers.web.refusal import wrong_method
from gateway.servers.web.services import WebServices


def find(shape: str, method: str) -> Interaction:
    """Refusal (405) where the address does not know the method."""
    methods = INTERACTIONS[shape]
    if method not in methods:
        raise wrong_method((*methods, "OPTIONS"))
    return methods[method]


def _bundle(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    if prefers_async(request):
        return bundle_later(services, client, request)
    return bundle(services, client, request, find)


def _message(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    return process_message(services, client, request, find)


def _read(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """The trail has no resources in the store."""
    return (read_audit_event if request.kind == TRAIL else read)(services, client, request)


def _search(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """For one patient there is so little to find that it is answered at once."""
    if prefers_async(request) and record_of(client) is None:
        return search_later(services, client, request)
    return _search_now(services, client, request)


def _search_now(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """HEAD begins nothing, whatever is preferred (RFC 9110 9.2.1)."""
    return (search_audit_events if request.kind == TRAIL else search)(services, client, request)


def _read_in(services: WebServices, client: Client, request: FhirRequest, unit: UnitOfWork) -> Outcome:
    return (read_audit_event_in if request.kind == TRAIL else read_in)(services, client, request, unit)


_READ = Interaction("read", "r", _read, _read_in)
_VREAD = Interaction("vread", "r", vread, vread_in)
_SEARCH = Interaction("search-type", "s", _search)
_SEARCH_NOW = Interaction("search-type", "s", _search_now)
_SEARCH_ALL = Interaction("search-system", "s", search)
_CREATE = Interaction("create", "c", asked=create)
_UPDATE = Interaction("update", "u", asked=update)
_PATCH = Interaction("patch", "u", asked=patch)
_DELETE = Interaction("delete", "d", asked=delete)
_HISTORY = {
    level: {"GET": Interaction(f"history-{level}", "r", history), "HEAD": Interaction(f"history-{level}", "r", history)}
    for level in ("instance", "type", "system")
}


def _exported(run: Handler) -> dict[str, Interaction]:
    """By GET, or by POST with its parameters in the body (Bulk Data Access 2.0, 2.5.3)."""
    return {method: Interaction("export", None, run) for method in ("GET", "POST")}


_EVERYTHING = Interaction("everything", "r", everything)
_VALIDATE = Interaction("validate", "r", validate)
_RECALL = Interaction("recall", "s", recall)
_SIGN = Interaction("sign", "u", sign, commits=True)

INTERACTIONS: dict[str, dict[str, Interaction]] = {
    "[base]": {
        "GET": _SEARCH_ALL,
        "HEAD": _SEARCH_ALL,
        "POST": Interaction("transaction", None, _bundle),
    },
    "[base]/_search": {"POST": _SEARCH_ALL},
    "_history": _HISTORY["system"],
    "$export": _exported(bulk.export_system),
    "Patient/$export": _exported(bulk.export_patients),
    "Group/[id]/$export": _exported(bulk.export_group),
    "$import": {"POST": Interaction("import", None, bulk.import_lines)},
    "$process-message": {"POST": Interaction("process-message", None, _message)},
    "$job/[id]": {
        "GET": Interaction("job-status", None, job.job_status),
        "DELETE": Interaction("job-cancel", None, job.job_cancel),
    },
    "$job/[id]/[file]": {"GET": Interaction(job.JOB_FILE, None, job.job_file)},
    "[type]": {
        "GET": _SEARCH,
        "HEAD": _SEARCH_NOW,
        "POST": _CREATE,
        "PUT": _UPDATE,
        "PATCH": _PATCH,
        "DELETE": _DELETE,
    },
    "[type]/_search": {"POST": _SEARCH},
    "Patient/[id]/[type]": {"GET": _SEARCH, "HEAD": _SEARCH_NOW},
    "Patient/[id]/[type]/_search": {"POST": _SEARCH},
    "[type]/_history": _HISTORY["type"],
    "[type]/$validate": {"POST": _VALIDATE},
    "[type]/[id]": {"GET": _READ, "HEAD": _READ, "PUT": _UPDATE, "PATCH": _PATCH, "DELETE": _DELETE},
    "[type]/[id]/_history": _HISTORY["instance"],
    "[type]/[id]/$validate": {"POST": _VALIDATE},
    "Subscription/[id]/$status": {"GET": Interaction("status", "r", status)},
    "Subscription/[id]/$events": {"GET": Interaction("events", "r", events)},
    "$recall": {"GET": _RECALL, "HEAD": _RECALL, "POST": _RECALL},
    "DiagnosticReport/[id]/$sign": {"POST": _SIGN},
    "Patient/[id]/$everything": {"GET": _EVERYTHING, "HEAD": _EVERYTHING, "POST": _EVERYTHING},
    "[type]/[id]/_history/[vid]": {"GET": _VREAD, "HEAD": _VREAD},
}
