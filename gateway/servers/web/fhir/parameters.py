"""The input of an operation: a Parameters resource as named values (FHIR R4 3.2.0.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.formats.fhir.element import Resource
from gateway.servers.web.refusal import Refusal

_MOST = 50


def parameters_of(resource: Resource, known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Values by name; `known` says which value[x], or `resource`, a parameter may have. Refusal (400) for all else."""
    if resource.get("resourceType") != "Parameters":
        raise Refusal(400, "structure", "the body is a Parameters resource", expression=("Parameters",))
    given = resource.get("parameter", [])
    if not isinstance(given, list) or len(given) > _MOST:
        raise Refusal(400, "structure", f"there are at most {_MOST} parameters", expression=("Parameters.parameter",))
    found: dict[str, Any] = {}
    for place, each in enumerate(given):
        where = (f"Parameters.parameter[{place}]",)
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or name not in known:
            names = ", ".join(known)
            raise Refusal(400, "not-supported", f"a parameter is one of {names}", expression=where)
        if name in found:
            raise Refusal(400, "structure", f"the parameter {name} stands once", expression=where)
        found[name] = _value(each, known[name], where)
    return found


def _value(each: Mapping[str, Any], kinds: tuple[str, ...], where: tuple[str, ...]) -> Any:
    values = [name for name in each if name.startswith("value") or name == "resource"]
    if len(values) != 1 or values[0] not in kinds:
        raise Refusal(400, "value", f"this parameter has one of {', '.join(kinds)}", expression=where)
    value = each[values[0]]
    if not isinstance(value, {"valueBoolean": bool, "valueInteger": int, "resource": dict}.get(values[0], str)):
        raise Refusal(400, "value", "the value is of another kind than its name says", expression=where)
    return value
