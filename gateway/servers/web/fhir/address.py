"""What a path names, by the shapes of the specification (R4 3.1.0.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.errors import Missing
from gateway.formats.fhir.search.compartment import compartment_types
from gateway.formats.fhir.search.references import ID
from gateway.formats.fhir.wire.supported import SUPPORTED
from gateway.servers.web.refusal import Refusal

_NO_RECORDS = frozenset({"Parameters", "OperationOutcome", "CapabilityStatement", "MessageHeader"})
STORED = frozenset(SUPPORTED) - _NO_RECORDS
"""The types that can be written and read."""


@dataclass(frozen=True)
class Address:
    """What a path names; `shape` is a row of the table of interactions.

    `compartment` is the id of the Patient in whose compartment is searched, for all types where `type` is empty.
    """

    shape: str
    type: str = ""
    id: str = ""
    version: str = ""
    compartment: str = ""


def address_of_path(segments: list[str]) -> Address:
    """Missing where the path has no shape of the specification, or names a type that is not served."""
    if segments in ([], ["_history"], ["_search"]):
        return Address({"": "[base]", "_search": "[base]/_search"}.get("".join(segments), "_history"))
    kind, *rest = segments
    bulk = _bulk(kind, rest)
    if bulk is not None:
        return bulk
    if segments == ["$recall"]:
        return Address("$recall", "DiagnosticReport")  # whose scopes hold for what it lists
    if kind.startswith("$"):
        raise Refusal(501, "not-supported", "this operation is not served")
    if kind not in STORED:
        raise Refusal(404, "not-supported", "this resource type is not served; see [base]/metadata")
    address = _in_compartment(kind, rest) or _of_type(kind, rest)
    if address is not None:
        return address
    if rest[-1].startswith("$"):
        raise Refusal(501, "not-supported", "this operation is not served")
    raise Missing("there is nothing at this address; an id has 1 to 64 letters, digits, - and .")


def _bulk(kind: str, rest: list[str]) -> Address | None:
    """Operations of the whole system, and the jobs that bulk data begins."""
    if kind in ("$export", "$import", "$process-message") and not rest:
        return Address(kind)
    if (kind, rest) == ("Patient", ["$export"]):
        return Address("Patient/$export", kind)
    if kind == "$job" and len(rest) in (1, 2) and all(ID.fullmatch(one) for one in rest):
        return Address("$job/[id]" + "/[file]" * (len(rest) - 1), "", rest[0], rest[-1] if len(rest) > 1 else "")
    return None


def _in_compartment(kind: str, rest: list[str]) -> Address | None:
    """Patient/[id]/[type], Patient/[id]/*, and either with _search behind it."""
    searched = rest[1] if len(rest) in (2, 3) else ""
    if kind != "Patient" or not (searched == "*" or searched in SUPPORTED) or not ID.fullmatch(rest[0]):
        return None
    if searched not in ("*", *compartment_types()):
        raise Refusal(404, "not-supported", "this resource type is not part of the patient compartment")
    if rest[2:] not in ([], ["_search"]):
        return None
    shape = "Patient/[id]/[type]" + "/_search" * (len(rest) - 2)
    return Address(shape, "" if searched == "*" else searched, compartment=rest[0])


def _of_type(kind: str, rest: list[str]) -> Address | None:
    """Shapes in which a word stands where an id could stand come first: no word has an id's form."""
    if rest and not ID.fullmatch(rest[0]):
        return Address(f"[type]/{rest[0]}", kind) if rest in _WORDS else None
    shape = _SHAPES.get((len(rest), rest[1] if len(rest) > 1 else ""))
    if shape is None or ("[type]" not in shape and not shape.startswith(f"{kind}/")):
        return None
    version = rest[2] if len(rest) > 2 else ""
    return Address(shape, kind, rest[0] if rest else "", version) if ID.fullmatch(version or "0") else None


_WORDS = (["_search"], ["_history"], ["$validate"])
_SHAPES = {
    (0, ""): "[type]",
    (1, ""): "[type]/[id]",
    (2, "_history"): "[type]/[id]/_history",
    (3, "_history"): "[type]/[id]/_history/[vid]",
    (2, "$validate"): "[type]/[id]/$validate",
    (2, "$status"): "Subscription/[id]/$status",
    (2, "$events"): "Subscription/[id]/$events",
    (2, "$export"): "Group/[id]/$export",
    (2, "$everything"): "Patient/[id]/$everything",
    (2, "$sign"): "DiagnosticReport/[id]/$sign",
}
