"""A search as it was asked for: conditions, order, what goes with the matches, and how much of each is shown.

R4 3.1.1.3 and 3.1.1.5. A parameter that is not served is an error, or, where the client asked for leniency, is left
out and told of: nobody may take an unfiltered list for a filtered one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from gateway.domain.criterion import EVERY_TYPE, Criterion, Link, Order
from gateway.domain.errors import Invalid, Unsupported
from gateway.formats.fhir.search.parameters import parameters, types
from gateway.formats.fhir.search.read_criterion import criterion, in_store, parameter_of, printable
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.formats.fhir.wire.definitions import type_named

Total = Literal["none", "estimate", "accurate"]
Summary = Literal["true", "text", "data", "count", "false"]
Fields = Sequence[tuple[str, str]]
DEFAULT_COUNT = 20
MAX_COUNT = 200
MAX_PARAMETERS = 30
MAX_INCLUDES = 10
MAX_ORDER = 3
_ONCE = frozenset({"_count", "_total", "_summary", "_type"})
_SORTED = ("date", "number", "quantity", "string")


@dataclass(frozen=True)
class Include:
    """One `_include` or `_revinclude`; `iterate`: from what is included too."""

    link: Link
    reverse: bool
    iterate: bool


@dataclass(frozen=True)
class SearchQuery:
    """`fields` are those that count: they stand in the self link and are what a page token repeats.

    `kinds` is what `_type` names where all types are searched together; none: all.
    """

    kind: str
    fields: tuple[tuple[str, str], ...] = ()
    criteria: tuple[Criterion, ...] = ()
    order: tuple[Order, ...] = ()
    count: int = DEFAULT_COUNT
    total: Total | None = None
    summary: Summary = "false"
    elements: tuple[str, ...] = ()
    includes: tuple[Include, ...] = ()
    kinds: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def only_count(self) -> bool:
        return self.summary == "count" or self.count == 0


def search_query(
    kind: str,
    fields: Fields,
    reading: Reading,
    *,
    lenient: bool = False,
    served: Callable[[SearchQuery], None] = lambda _: None,
) -> SearchQuery:
    """Unsupported or Invalid, naming the first parameter that is wrong.

    `served` is asked after each parameter, and raises Unsupported or Invalid where it asks for too much.
    """
    if not reading.trail:
        in_store(kind)
    if len(fields) > MAX_PARAMETERS:
        raise Invalid(f"a search has at most {MAX_PARAMETERS} parameters")
    query = SearchQuery(kind)
    for name, value in fields:
        try:
            changed = _with(query, name, value, reading)
            served(changed)
        except Invalid as error:
            error.place = f"http.{printable(name)}"
            raise
        except Unsupported as error:
            if not lenient:
                error.place = f"http.{printable(name)}"
                raise
            query = replace(query, dropped=(*query.dropped, (printable(name), str(error))))
        else:
            query = replace(changed, fields=(*query.fields, (name, value)))
    return _agreeing(query)


def _with(query: SearchQuery, name: str, value: str, reading: Reading) -> SearchQuery:
    reader = _RESULT.get(name.partition(":")[0])
    if name in _ONCE and any(name == known for known, _ in query.fields):
        raise Invalid(f"{name} stands once")
    if reader is not None:
        return reader(query, name, value)
    return replace(query, criteria=(*query.criteria, criterion(query.kind, name, value, reading)))


def _agreeing(query: SearchQuery) -> SearchQuery:
    if query.summary == "text" and any(query.includes):
        raise Invalid("_summary=text does not go together with _include or _revinclude")
    if query.elements and query.summary != "false":
        raise Invalid("_elements does not go together with _summary")
    return query


def _count(query: SearchQuery, _: str, value: str) -> SearchQuery:
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise Invalid("_count must be a number of 0 or more")
    return replace(query, count=min(int(value), MAX_COUNT))


def _total(query: SearchQuery, _: str, value: str) -> SearchQuery:
    for known in get_args(Total):
        if value == known:
            return replace(query, total=known)
    raise Invalid(f"_total is one of {', '.join(get_args(Total))}")


def _summary(query: SearchQuery, _: str, value: str) -> SearchQuery:
    for known in get_args(Summary):
        if value == known:
            return replace(query, summary=known)
    raise Invalid(f"_summary is one of {', '.join(get_args(Summary))}")


def _elements(query: SearchQuery, _: str, value: str) -> SearchQuery:
    """Elements of the resource itself; what lies below one is shown with it. A prefix with the own type may stand."""
    names = [name.strip().removeprefix(f"{query.kind}.") for name in value.split(",") if name.strip()]
    if not names or not all(name.isalnum() and name.isascii() for name in names):
        raise Unsupported("_elements names elements of the resource itself, by commas")
    strange = [name for name in names if not _is_element(query.kind, name)]
    if strange:
        raise Unsupported(f"{query.kind} has no element {printable(strange[0])}")
    return replace(query, elements=(*query.elements, *names[:50]))


def _is_element(kind: str, name: str) -> bool:
    """Also of a choice by its name alone: `value` of `valueQuantity`. Of all types together every name may be one."""
    known = type_named(kind)
    if known is None:
        return True
    return (
        name == "resourceType"
        or name in known.members
        or any(member.element == f"{name}[x]" for member in known.members.values())
    )


def _sort(query: SearchQuery, _: str, value: str) -> SearchQuery:
    words = [word for word in value.split(",") if word]
    if query.order or not 0 < len(words) <= MAX_ORDER:
        raise Invalid(f"_sort stands once and names one to {MAX_ORDER} parameters")
    return replace(query, order=tuple(_order(query.kind, word) for word in words))


def _order(kind: str, word: str) -> Order:
    parameter = parameter_of(kind, word.removeprefix("-"))
    if parameter.code in ("_id", "_lastUpdated"):
        return Order(parameter, word.startswith("-"))
    if parameter.is_hidden or parameter.is_phonetic:
        raise Unsupported(f"{kind} is not sorted by {parameter.code}: it may be identity, so its order is not kept")
    if parameter.kind not in _SORTED:
        raise Unsupported(
            f"{kind} is not sorted by {parameter.code}: only dates, numbers and names of things have an order"
        )
    return Order(parameter, word.startswith("-"))


def _include(query: SearchQuery, name: str, value: str) -> SearchQuery:
    keyword, _, modifier = name.partition(":")
    if modifier not in ("", "iterate", "recurse"):
        raise Unsupported(f"{keyword} is not served with that modifier")
    if len(query.includes) >= MAX_INCLUDES:
        raise Invalid(f"a search has at most {MAX_INCLUDES} includes")
    found = _followed(keyword, value, reverse=keyword == "_revinclude", iterate=bool(modifier))
    if not found.reverse and not found.iterate and found.link.source not in (None, query.kind) and query.kind:
        raise Invalid(f"{keyword} begins at the type that is searched, or has the modifier :iterate")
    return replace(query, includes=(*query.includes, found))


def _followed(keyword: str, value: str, *, reverse: bool, iterate: bool) -> Include:
    """`*`, `Type:*`, `Type:parameter` or `Type:parameter:Target`."""
    if value == "*":
        return Include(Link(), reverse, iterate)
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    in_store(source)
    if not parameters(source) or not code:
        raise Unsupported(f"{keyword} is [type]:[reference parameter], [type]:* or *")
    if code == "*":
        return Include(Link(None, source), reverse, iterate)
    parameter = parameter_of(source, code)
    if parameter.kind != "reference":
        raise Unsupported(f"{parameter.name} is no reference, so {keyword} cannot follow it")
    if not parameter.is_followed:
        raise Unsupported(f"{parameter.name} refers by canonical URL, which {keyword} does not follow")
    if target and target not in parameter.targets:
        raise Unsupported(f"{parameter.name} never refers to such a type")
    return Include(Link(parameter, source, target or None), reverse, iterate)


def _types(query: SearchQuery, name: str, value: str) -> SearchQuery:
    if query.kind != EVERY_TYPE:
        raise Unsupported(f"{query.kind} is searched by itself: {name} is for a search in all types")
    named = tuple(dict.fromkeys(word for word in value.split(",") if word))
    if not named or not set(named) <= set(types()) - {"AuditEvent"}:
        raise Invalid(f"{name} names resource types of this server, by commas")
    return replace(query, kinds=named)


def _ignored(query: SearchQuery, _name: str, _value: str) -> SearchQuery:
    """How the answer is written is not a matter of the search."""
    return query


def _contained(query: SearchQuery, name: str, value: str) -> SearchQuery:
    if value != "false":
        raise Unsupported(f"{name} is not served: contained resources are found through what contains them")
    return query


_RESULT: dict[str, Callable[[SearchQuery, str, str], SearchQuery]] = {
    "_count": _count,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_sort": _sort,
    "_include": _include,
    "_revinclude": _include,
    "_format": _ignored,
    "_pretty": _ignored,
    "_totalMethod": _ignored,  # how fhirpy asks for a count, beside _count=0
    "_contained": _contained,
    "_type": _types,
}


def include_values(kind: str) -> Iterator[str]:
    """What may stand as `_include` of a type, for the CapabilityStatement."""
    yield "*"
    yield from (f"{kind}:{each.code}" for each in parameters(kind).values() if each.is_followed)


def reverse_include_values(kind: str, kinds: Sequence[str]) -> Iterator[str]:
    """What may stand as `_revinclude` of a type, among references of these types."""
    for source in kinds:
        for each in parameters(source).values():
            if each.is_followed and kind in each.targets:
                yield f"{source}:{each.code}"
