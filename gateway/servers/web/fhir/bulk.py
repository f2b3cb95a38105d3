"""Bulk data: kick-off of exports and imports (FHIR Bulk Data Access 2.0); what follows of one is in job.py."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from gateway.domain.access import Client
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Missing
from gateway.flow.bulk.asked import AskedExport, AskedImport
from gateway.flow.scopes import permits
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.search.parameters import types
from gateway.formats.fhir.search.read_criterion import printable
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.subscription.wish import read_search
from gateway.formats.fhir.wire.issue import refused
from gateway.servers.web.body import Fields, field
from gateway.servers.web.fhir.date_range import since as since_of
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER, FhirRequest, prefers_async
from gateway.servers.web.fhir.export_parameters import fields_of, patient_ids
from gateway.servers.web.fhir.job import NDJSON, begun
from gateway.servers.web.fhir.pending import Outcome
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

_FORMATS: Final = frozenset({NDJSON, "application/ndjson", "ndjson", "application/fhir ndjson"})
_NOT_EXPORTED: Final = frozenset({"AuditEvent", "Subscription", "Bundle", "Binary"})
_SERVED: Final = frozenset({"_type", "_since", "_outputFormat", "_typeFilter", "_elements", *OF_THE_ANSWER})
_MAX_FILTERS: Final = 20
_MAX_ELEMENTS: Final = 100
_REASONS: Final = {"includeAssociatedData": ": Provenance is exported like every other type"}
_MAX_INPUTS: Final = 50


def export_system(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """[base]/$export, by GET or POST: everything that the client may read."""
    return _export(services, client, request, "system")


def export_patients(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """[base]/Patient/$export: what belongs to patients."""
    return _export(services, client, request, "patient")


def export_group(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """[base]/Group/[id]/$export: what belongs to the members of a Group."""
    if not permits(client.scopes, "Group", "r"):
        raise Forbidden("this needs the scope system/Group.r")
    with services.database.read() as unit:
        group = unit.resources.find("Group", request.id)
    if group is None or group.is_deleted:
        raise Missing("no such Group")
    return _export(services, client, request, "group")


def _export(services: WebServices, client: Client, request: FhirRequest, level: Any) -> Outcome:
    _insist_on_async(request)
    fields, named = fields_of(request)
    if named and level == "system":
        raise Refusal(400, "not-supported", "patient is for an export of Patient or Group, not of the whole system")
    if named and not permits(client.scopes, "Patient", "r"):
        raise Forbidden("to name patients this needs the scope system/Patient.r")
    dropped = tuple(dict.fromkeys(printable(name) for name, _ in fields if name not in _SERVED))
    if dropped and not request.lenient:
        reason = _REASONS.get(dropped[0], "")
        text = f"$export has no parameter {dropped[0]}{reason}"
        raise Refusal(400, "not-supported", text, expression=(f"http.{dropped[0]}",))
    form = field(fields, "_outputFormat")
    if form is not None and form not in _FORMATS:
        raise Refusal(400, "not-supported", f"the only _outputFormat is {NDJSON}")
    since = field(fields, "_since")
    filters = tuple(one for name, value in fields if name == "_typeFilter" for one in value.split(",") if one)
    kinds = _kinds(client, fields)
    _check_filters(services, filters, kinds)
    where = {"system": "$export", "patient": "Patient/$export", "group": f"Group/{request.id}/$export"}[level]
    query = f"?{urlencode(request.fields)}" if request.fields else ""  # of a POST without what its body says
    with services.database.read() as unit:
        patients = patient_ids(unit, named, services.fhir_base) if named else ()
    asked = AskedExport(
        url=f"{services.fhir_base}/{where}{query}",
        level=level,
        types=kinds,
        group=request.id,
        since=_since(since),
        filters=filters,
        elements=_elements(fields),
        dropped=dropped,
        patients=patients,
    )
    return begun(services, client, "export", asked)


def _elements(fields: Fields) -> tuple[str, ...]:
    """Names of elements at the top of a resource, each perhaps with its type before it."""
    named = [one.strip() for name, value in fields if name == "_elements" for one in value.split(",")]
    for one in named:
        kind, _, element = one.rpartition(".")
        if not (element.isalnum() and element.isascii()) or (kind and kind not in types()):
            raise Refusal(400, "value", "_elements is [element] or [type].[element], by commas")
    if len(named) > _MAX_ELEMENTS:
        raise Refusal(413, "too-costly", f"_elements names at most {_MAX_ELEMENTS}")
    return tuple(dict.fromkeys(named))


def _since(told: str | None) -> str:
    return "" if told is None else since_of(told).isoformat()


def _kinds(client: Client, fields: Fields) -> tuple[str, ...]:
    """The types asked for, each of which the client may read; Forbidden where it asks for one that it may not."""
    named = [one for name, value in fields if name == "_type" for one in value.split(",") if one]
    offered = [kind for kind in types() if kind not in _NOT_EXPORTED]
    for kind in named:
        if kind not in offered:
            raise Refusal(400, "not-supported", "_type names a type that is not exported here")
        if not permits(client.scopes, kind, "r"):
            raise Forbidden(f"this needs the scope system/{kind}.r")
    found = tuple(dict.fromkeys(named or [kind for kind in offered if permits(client.scopes, kind, "r")]))
    if not found:
        raise Forbidden("there is no type that this client may read")
    return found


def _check_filters(services: WebServices, filters: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    if len(filters) > _MAX_FILTERS:
        raise refused("too-costly", f"an export has at most {_MAX_FILTERS} filters", "_typeFilter")
    for one in filters:
        kind, _ = read_search(one, Reading(services.fhir_base, services.clock()), "_typeFilter")
        if kind not in kinds:
            raise refused("value", "a filter is about a type that is not exported", "_typeFilter")


def import_lines(services: WebServices, client: Client, request: FhirRequest) -> Outcome:
    """POST [base]/$import: lines in the body, or a Parameters resource that says where they are."""
    _insist_on_async(request)
    url = f"{services.fhir_base}/$import"
    if request.media_type in (NDJSON, "application/ndjson", "application/x-ndjson"):
        if not request.body.strip():
            raise Invalid("the body holds no line")
        return begun(services, client, "import", AskedImport(url), request.body)
    return begun(services, client, "import", AskedImport(url, _inputs(services, parsed(request))))


def _inputs(services: WebServices, sent: Resource) -> tuple[tuple[str, str], ...]:
    """`input` parts with type and url, of hosts that the operator allows."""
    told = [one for one in sent.get("parameter", []) if isinstance(one, dict) and one.get("name") == "input"]
    if sent.get("resourceType") != "Parameters" or not 0 < len(told) <= _MAX_INPUTS:
        text = f"$import takes {NDJSON}, or a Parameters resource with 1 to {_MAX_INPUTS} inputs"
        raise refused("invalid", text, "Parameters.parameter")
    found = []
    for one in told:
        parts = {part.get("name"): part for part in one.get("part", []) if isinstance(part, dict)}
        kind = next((value for key, value in parts.get("type", {}).items() if key.startswith("value")), "")
        url = next((value for key, value in parts.get("url", {}).items() if key.startswith("value")), "")
        if not isinstance(kind, str) or not isinstance(url, str) or not url:
            raise refused("required", "an input has a url, and may have a type", "Parameters.parameter.part")
        try:
            services.check_source(url)
        except GatewayError as error:
            raise refused("business-rule", str(error), "Parameters.parameter.part") from None
        found.append((kind, url))
    return tuple(found)


def _insist_on_async(request: FhirRequest) -> None:
    if not prefers_async(request):
        raise Refusal(400, "invalid", "this is done asynchronously: send Prefer: respond-async")
