"""patch: PATCH [base]/[type]/[id] or [type]?[search], as JSON Patch or as FHIRPath Patch (R4 3.1.0.5)."""

from __future__ import annotations

from functools import partial
from typing import Any

from gateway.flow.record.asked import Asked, Resource
from gateway.formats.fhir.wire.fhirpath_patch import fhirpath_patch
from gateway.formats.fhir.wire.issue import refused
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.formats.fhir.wire.json_patch import json_patch
from gateway.servers.web.fhir.condition import condition_of
from gateway.servers.web.fhir.exchange import FhirRequest, refuse_unknown
from gateway.servers.web.fhir.resource_body import parsed

JSON_PATCH = "application/json-patch+json"


def patch(request: FhirRequest) -> Asked:
    """200 for a new version; Missing (404) where there is none to patch, 422 where the patch does not fit."""
    if request.id:
        refuse_unknown(request)
    if request.media_type == JSON_PATCH:
        how = partial(_by_json, operations=_operations(request.body))
    else:
        how = partial(_by_path, parameters=parsed(request))
    return Asked(
        "PATCH",
        request.kind,
        request.id,
        criteria=None if request.id else condition_of(request),
        patch=how,
        if_match=request.if_match,
        place=request.place,
    )


def _by_json(resource: Resource, operations: Any) -> Resource:
    return json_patch(resource, operations)


def _by_path(resource: Resource, parameters: Resource) -> Resource:
    return fhirpath_patch(resource, parameters)


def _operations(body: bytes) -> Any:
    """A JSON Patch is a list, read under the same bounds as a resource and as losslessly."""
    held = parse_json(b'{"patch":' + body + b"}")
    if held.keys() != {"patch"}:
        raise refused("structure", "a JSON patch is one list of operations")
    return held["patch"]
