"""Judges one resource against R4 4.0.1 as far as no terminology server is needed.

First the official schema, compiled; then one walk with the rules beyond it. Both are run on what is wrong, so that
the sender hears as much as possible in one answer.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.formats.fhir.wire.decimal_literal import plain
from gateway.formats.fhir.wire.findings import Findings, Place, expression, root
from gateway.formats.fhir.wire.issue import InvalidResource, Issue
from gateway.formats.fhir.wire.json_form import refuse_deep
from gateway.formats.fhir.wire.schema import schema_faults, schema_holds
from gateway.formats.fhir.wire.walk import Walk

_TRANSACTIONS: Final = ("transaction", "batch")


def check(resource: dict[str, Any], *, kind: str | None = None, bounded: bool = False) -> list[Issue]:
    """What is wrong with the resource, nothing when it is acceptable; `kind`: the type that it must have.

    `bounded`: its depth is known to be within bounds, as after `parse_json`.
    """
    findings = Findings()
    name = resource.get("resourceType")
    place = root(name if type(name) is str else "")
    if kind is not None and name != kind:
        findings.add("invalid", (place, "resourceType", None), "the resource is of another type than expected")
        return findings.issues
    try:
        if not bounded:
            refuse_deep(resource)
    except InvalidResource as cause:
        return list(cause.issues)
    Walk(findings, searches=name == "Bundle" and resource.get("type") in _TRANSACTIONS).resource(resource, place)
    if not schema_holds(resource) and (findings.issues or not schema_holds(plain(resource))):
        _add_schema_faults(resource, findings, place)
    return findings.issues


def checked(resource: dict[str, Any], *, kind: str | None = None, bounded: bool = False) -> dict[str, Any]:
    """The resource itself where it is acceptable; InvalidResource with every error otherwise."""
    issues = [issue for issue in check(resource, kind=kind, bounded=bounded) if issue.severity in ("error", "fatal")]
    if issues:
        raise InvalidResource(issues)
    return resource


def _add_schema_faults(resource: dict[str, Any], findings: Findings, place: Place) -> None:
    """Those at elements where the walk found nothing, which says it better."""
    for path, code, text in schema_faults(resource):
        at = place
        for step in path:
            at = (at, step, None) if isinstance(step, str) else (at[0], at[1], step)
        if not findings.covers(expression(at)):
            findings.add(code, at, text)
