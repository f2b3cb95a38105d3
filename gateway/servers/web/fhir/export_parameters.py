"""The parameters of an export: of its address, and by POST of a Parameters resource (Bulk Data Access 2.0, 2.5.3).

By POST a parameter may stand several times where the address has a list, and `patient` names whose records are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.domain.errors import Missing
from gateway.flow.record.references import local_name
from gateway.ports import UnitOfWork
from gateway.servers.web.body import MAX_FIELDS, MAX_VALUE, Fields
from gateway.servers.web.fhir.exchange import FhirRequest
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal

MAX_PATIENTS: Final = 10_000
_AS_TEXT: Final = frozenset({"valueString", "valueCode", "valueInstant", "valueDateTime", "valueUri"})


def fields_of(request: FhirRequest) -> tuple[Fields, tuple[str, ...]]:
    """Names and values, and the references of `patient` in order."""
    if not request.body:
        return request.fields, ()
    sent = parsed(request)
    told = sent.get("parameter", [])
    if sent.get("resourceType") != "Parameters" or not isinstance(told, list):
        raise Refusal(400, "structure", "the body is a Parameters resource", expression=("Parameters",))
    if len(told) > MAX_PATIENTS + MAX_FIELDS:
        raise Refusal(413, "too-costly", f"an export is of at most {MAX_PATIENTS} patients by name")
    fields, patients = list(request.fields), []
    for place, each in enumerate(told):
        where = f"Parameters.parameter[{place}]"
        name, value = _named(each, where)
        if name == "patient":
            patients.append(_reference(value, where))
        else:
            fields.append((name, _text(each, where)))
    return tuple(fields), tuple(dict.fromkeys(patients))


def patient_ids(unit: UnitOfWork, references: tuple[str, ...], base: str) -> tuple[str, ...]:
    """Missing where one of the references leads to no Patient that is here."""
    names = [local_name(reference, base) for reference in references]
    wanted = [name for name in names if name is not None and name[0] == "Patient"]
    found = unit.resources.named(wanted)
    if len(wanted) < len(references) or any(name not in found or found[name].is_deleted for name in wanted):
        raise Missing("a patient of the export is not here")
    return tuple(own_id for _, own_id in wanted)


def _named(each: Any, where: str) -> tuple[str, Any]:
    values = [name for name in each if name.startswith("value")] if isinstance(each, dict) else []
    if not isinstance(each, dict) or not isinstance(each.get("name"), str) or len(values) != 1:
        raise Refusal(400, "structure", "a parameter has a name and one value", expression=(where,))
    return each["name"], each[values[0]]


def _text(each: Mapping[str, Any], where: str) -> str:
    value = next((value for name, value in each.items() if name in _AS_TEXT), None)
    if not isinstance(value, str) or len(value) > MAX_VALUE or not value.isprintable():
        text = f"this parameter is text of at most {MAX_VALUE} characters"
        raise Refusal(400, "value", text, expression=(where,))
    return value


def _reference(value: Any, where: str) -> str:
    said = value.get("reference") if isinstance(value, dict) else None
    if not isinstance(said, str):
        raise Refusal(400, "value", "patient is a reference to a Patient of this server", expression=(where,))
    return said
