"""$validate: what would be found wrong with a resource, without storing it (R4 Resource-operation-validate).

The base specification is what is checked. Whoever names another profile hears that it is not, since an answer without
a finding would pass for one about that profile.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.access import Client
from gateway.domain.errors import Missing
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.outcome import outcome
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import Issue, refused
from gateway.servers.web.fhir.confine import see
from gateway.servers.web.fhir.exchange import Answer, FhirRequest
from gateway.servers.web.fhir.parameters import parameters_of
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

_MODES = ("create", "update", "delete", "profile")
_SERVED = frozenset({"mode", "profile", "_format", "_pretty"})
_BASE = "http://hl7.org/fhir/StructureDefinition/"
_PARAMETERS = {"resource": ("resource",), "mode": ("valueCode",), "profile": ("valueUri", "valueCanonical")}


def validate(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """200 with an OperationOutcome, whatever was found; the resource may come in a Parameters resource."""
    told, sent = _told(request)
    mode = told.get("mode", "profile" if "profile" in told else "create")
    if mode not in _MODES:
        raise Refusal(400, "value", f"mode is one of {', '.join(_MODES)}", expression=("http.mode",))
    profile = told.get("profile", _BASE + request.kind)
    if profile not in (_BASE + request.kind, f"{_BASE}{request.kind}|4.0.1"):
        text = "this profile is not held here: resources are checked against the base specification alone"
        raise Refusal(422, "not-supported", text, expression=("http.profile",))
    if mode == "delete":
        return Answer(200, outcome(_deletable(services, client, request)))
    if sent is None:
        raise refused("required", "there is no resource to check", "Parameters.parameter")
    issues = list(check(sent, kind=request.kind))
    if mode == "update" and request.id and sent.get("id") != request.id:
        issues.append(Issue("error", "value", f"{request.kind}.id", "the id is not that of the address"))
    return Answer(200, outcome(issues))


def _told(request: FhirRequest) -> tuple[Mapping[str, str], Resource | None]:
    """What the address and the Parameters say, and the resource, which a deletion needs not have."""
    for name, _ in request.fields:
        if name not in _SERVED:
            raise Refusal(400, "not-supported", f"$validate has no parameter {name}", expression=(f"http.{name}",))
    told = {name: value for name, value in request.fields if name in ("mode", "profile")}
    if not request.body and request.resource is None and told.get("mode") == "delete":
        return told, None
    sent = parsed(request)
    if sent.get("resourceType") != "Parameters" or request.kind == "Parameters":
        return told, sent
    return _of_parameters(told, sent)


def _of_parameters(told: dict[str, str], sent: Resource) -> tuple[Mapping[str, str], Resource | None]:
    given = parameters_of(sent, _PARAMETERS)
    resource = given.pop("resource", None)
    for name in given.keys() & told.keys():
        raise Refusal(400, "structure", f"the parameter {name} stands once", expression=(f"http.{name}",))
    return told | given, resource


def _deletable(services: WebServices, client: Client, request: FhirRequest) -> list[Issue]:
    if not request.id:
        raise Refusal(400, "required", "what would be deleted is named by the address: [type]/[id]/$validate")
    with services.database.read() as unit:
        stored = unit.resources.find(request.kind, request.id)
        if stored is None or stored.is_deleted:
            raise Missing("no such resource")
        see(services, client, stored)
    text = "this resource is the gateway's own and follows the analysis; clients cannot delete it"
    return [Issue("error", "business-rule", request.kind, text)] if stored.ours else []
