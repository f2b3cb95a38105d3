"""How the audit trail is searched: read like any search, and of what was read only what its rows can answer.

The rows lie outside of the store of resources (R4 AuditEvent, IHE ITI-81), so what it has of the official parameters
stands here: with which modifiers, and what they mean of a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from gateway.domain.criterion import Chained, Criterion, Modifier, Prefix, SpanWanted, Wanted
from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.search_parameter import Parameter
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.query import SearchQuery, search_query
from gateway.formats.fhir.search.read_wanted import Reading

TRAIL: Final = "AuditEvent"
NEWEST_FIRST: Final = frozenset({"date", "_lastUpdated"})
_PREFIXES: Final = frozenset(get_args(Prefix)) - {"ne", "ap"}


@dataclass(frozen=True)
class OfTrail:
    """A parameter that the trail is searched by. Without the empty modifier it is served with one alone."""

    documentation: str
    modifiers: tuple[Modifier, ...] = ("",)


SERVED: Final[Mapping[str, OfTrail]] = {
    "_id": OfTrail("Number of the row."),
    "_lastUpdated": OfTrail("The same as date."),
    "action": OfTrail("C, R, U, D or E; also :not.", ("", "not")),
    "agent": OfTrail("Only as agent:identifier: the name of the client, person or part that acted.", ("identifier",)),
    "agent-name": OfTrail("The whole name of the client, person or part that acted.", ("", "exact")),
    "date": OfTrail("When it happened; one date, prefixes eq, gt, ge, lt, le, sa, eb; repeat it for a range."),
    "entity": OfTrail("Type/id, or id, of what was accessed."),
    "outcome": OfTrail("0, 4, 8 or 12; also :not.", ("", "not")),
    "patient": OfTrail("In whose record: Patient/id, patient:identifier, patient.identifier.", ("", "identifier")),
    "subtype": OfTrail(
        "restful-interaction code, DICOM code, or urn:dxgate:audit-event|event; also :not.", ("", "not")
    ),
    "type": OfTrail("audit-event-type#rest, or a DICOM audit code; also :not.", ("", "not")),
}


def trail_parameters() -> list[Parameter]:
    """Those of the official ones that are served."""
    return [parameter for code, parameter in parameters(TRAIL).items() if code in SERVED]


def trail_query(fields: Sequence[tuple[str, str]], reading: Reading, *, lenient: bool) -> SearchQuery:
    """Unsupported or Invalid, naming the first parameter that is wrong."""
    return search_query(TRAIL, fields, replace(reading, trail=True), lenient=lenient, served=_insist)


def _insist(query: SearchQuery) -> None:
    """Unsupported where the parameter that was read last asks for what the rows do not tell."""
    if query.includes:
        raise Unsupported("nothing is included with the audit trail")
    for order in query.order:
        if len(query.order) > 1 or order.parameter.code not in NEWEST_FIRST or not order.descending:
            raise Unsupported("the audit trail is shown newest first, which is _sort=-date")
    for criterion in query.criteria[-1:]:
        _insist_on(criterion)


def _insist_on(criterion: Criterion) -> None:
    if isinstance(criterion, Chained) and criterion.parameter.code == "patient":
        if all(_is_identifier(inner) for _, inner in criterion.inner):
            return
        raise Unsupported("of a patient's own parameters the audit trail is searched by patient.identifier alone")
    if not isinstance(criterion, Wanted) or criterion.parameter.code not in SERVED:
        raise Unsupported("the audit trail is not searched by that; see [base]/metadata")
    code = criterion.parameter.code
    if criterion.modifier not in SERVED[code].modifiers:
        raise Unsupported(f"the audit trail is not searched by {code} in this form: {SERVED[code].documentation}")
    for value in criterion.values:
        if isinstance(value, SpanWanted):
            if len(criterion.values) > 1:
                raise Invalid(f"the parameter {code} takes one date; repeat the parameter for a range")
            if value.prefix not in _PREFIXES:
                raise Unsupported(f"a date's prefix is one of {', '.join(sorted(_PREFIXES))}")


def _is_identifier(criterion: Criterion) -> bool:
    return isinstance(criterion, Wanted) and criterion.parameter.code == "identifier" and criterion.modifier == ""
