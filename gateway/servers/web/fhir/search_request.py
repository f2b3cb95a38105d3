"""A search as it was asked for: result parameters, conditions, what was dropped (R4 3.1.1.3, 3.1.1.5).

A parameter that is not in the declared table (formats/fhir/audit_search.py) is an error that names it, or, under
Prefer: handling=lenient, is dropped and told of: an EHR must not take an unfiltered list for a filtered one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.errors import Invalid
from gateway.formats.fhir.audit_search import Served
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.outcome import issue
from gateway.servers.web.body import Fields
from gateway.servers.web.refusal import Refusal

DEFAULT_COUNT = 20
MAX_COUNT = 100
# Orders that are the one in which we answer anyway
_ORDERS = frozenset({"-_lastUpdated", "-issued"})
_TOTALS = frozenset({"none", "estimate", "accurate"})
_RESULT = frozenset({"_count", "_format", "_include", "_revinclude", "_summary", "_sort", "_total", "_totalMethod"})


@dataclass(frozen=True)
class SearchRequest:
    """`fields` are those that count: they stand in the self link and in the links to the other pages."""

    fields: Fields
    count: int
    only_count: bool
    includes: frozenset[str]
    dropped: tuple[tuple[str, str], ...]
    conditions: Fields

    def warnings(self) -> Iterator[Resource]:
        for name, reason in self.dropped:
            yield issue("not-supported", f"ignored: {reason}", (f"http.{name}",), severity="warning")


def search_request(served: Served, fields: Fields, *, lenient: bool) -> SearchRequest:
    """Checks names and result parameters; Refusal (400) naming the first that is not served, unless lenient."""
    kept: list[tuple[str, str]] = []
    conditions: list[tuple[str, str]] = []
    dropped: list[tuple[str, str]] = []
    for name, value in fields:
        objection = _objection(served, name, value)
        if objection is None:
            kept.append((name, value))
            if name not in _RESULT:
                conditions.append((name, value))
        elif lenient:
            dropped.append((name, objection))
        else:
            raise Refusal(400, "not-supported", objection, expression=(f"http.{name}",))
    count = _count([value for name, value in kept if name == "_count"])
    return SearchRequest(
        fields=tuple(kept),
        count=count,
        only_count=count == 0 or ("_summary", "count") in kept,
        includes=frozenset(value for name, value in kept if name in ("_include", "_revinclude")),
        dropped=tuple(dropped),
        conditions=tuple(conditions),
    )


def _objection(served: Served, name: str, value: str) -> str | None:
    """Why a parameter is not served; None where it is."""
    offered = {
        "_include": served.includes,
        "_revinclude": served.reverse_includes,
        "_summary": ("count", "false"),
        "_sort": _ORDERS,
        "_total": _TOTALS,
    }
    if name in offered:
        return None if value in offered[name] else f"{served.type} is not served with {name}={value}"
    if name in _RESULT or served.parameter(name) is not None:
        return None
    return f"{served.type} has no search parameter {name}"


def _count(values: list[str]) -> int:
    if not values:
        return DEFAULT_COUNT
    if len(values) > 1 or not (values[0].isascii() and values[0].isdigit() and len(values[0]) <= 9):
        raise Invalid("_count must be one number of 0 or more")
    return min(int(values[0]), MAX_COUNT)
