"""The resource in a request body: read, checked, of the type that the address names (R4 3.1.0.1.9)."""

from __future__ import annotations

from gateway.flow.record.asked import Resource
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.issue import InvalidResource, Issue
from gateway.formats.fhir.wire.json_form import parse_json, refuse_deep
from gateway.formats.fhir.wire.xml_form import parse_xml
from gateway.servers.web.fhir.binary_content import of_content
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.refusal import Refusal

JSON_TYPES = frozenset({"application/fhir+json", "application/json", "application/json+fhir", "text/json"})
_UTF_8 = frozenset({None, "utf-8", "utf8", "us-ascii"})
XML_TYPES = frozenset({"application/fhir+xml", "application/xml", "application/xml+fhir", "text/xml"})


_FORMS = "application/fhir+json or application/fhir+xml"


def resource_of(request: FhirRequest, kind: str) -> Resource:
    """InvalidResource where it is none, or not of `kind`."""
    resource = parsed(request)
    if not request.is_checked or resource.get("resourceType") != kind:
        checked(resource, kind, request.place)
    return resource


def parsed(request: FhirRequest) -> Resource:
    """The body as a dict of bounded depth; Refusal (415) for another form."""
    if request.resource is not None:
        return request.resource
    if request.fhir_version not in (None, "4.0", "4.0.1"):
        raise Refusal(415, "not-supported", "the body is of another version of FHIR; here it is 4.0")
    if request.charset not in _UTF_8 and request.media_type in JSON_TYPES | XML_TYPES:
        raise Refusal(415, "not-supported", "a resource is written in UTF-8")
    if request.media_type in XML_TYPES:
        resource = parse_xml(request.body, is_utf_8=request.charset in ("utf-8", "utf8"))
        refuse_deep(resource)
        return resource
    if request.kind == "Binary" and request.media_type not in JSON_TYPES:
        return of_content(request)
    if request.media_type not in JSON_TYPES:
        also = ", a patch also application/json-patch+json" if request.interaction == "patch" else ""
        raise Refusal(415, "not-supported", f"the body must be {_FORMS}{also}")
    return parse_json(request.body)


def checked(resource: Resource, kind: str | None, place: str = "") -> None:
    """InvalidResource with every finding in what `parsed` gave; `place` is where in a Bundle the resource stands."""
    errors = [issue for issue in check(resource, kind=kind, bounded=True) if issue.severity in ("error", "fatal")]
    if place:
        errors = [Issue(one.severity, one.code, _inside(place, one.expression), one.text) for one in errors]
    if errors:
        raise InvalidResource(errors)


def _inside(place: str, expression: str) -> str:
    _, dot, rest = expression.partition(".")
    return f"{place}.resource{dot}{rest}"
