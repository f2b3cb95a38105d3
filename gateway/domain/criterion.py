"""What a search asks of a resource, as a tree: values wanted of a parameter, over references forth and back.

The tree is pure data: the index turns it into SQL, and `confirms` judges an opened resource by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from gateway.domain.search_parameter import Parameter

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
Modifier = Literal["", "exact", "contains", "text", "not", "missing", "identifier", "of-type", "below", "above"]


@dataclass(frozen=True)
class TokenWanted:
    """`system` None: any; empty: none. `code` None: any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True)
class OfTypeWanted:
    system: str
    code: str
    value: str


@dataclass(frozen=True)
class ReferenceWanted:
    """One of these (type, id), or (empty, URL)."""

    targets: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SpanWanted:
    """A date with its precision, in microseconds, `high` exclusive; `slack` is what "about" adds on both sides."""

    prefix: Prefix
    low: int
    high: int
    slack: int = 0


@dataclass(frozen=True)
class AmountWanted:
    """A number and the half of its last digit; for a quantity system and code, None where any will do."""

    prefix: Prefix
    value: Decimal
    half: Decimal
    system: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class TextWanted:
    text: str


@dataclass(frozen=True)
class UriWanted:
    uri: str


@dataclass(frozen=True)
class TogetherWanted:
    values: tuple[ValueWanted, ...]


ValueWanted = (
    TokenWanted | OfTypeWanted | ReferenceWanted | SpanWanted | AmountWanted | TextWanted | UriWanted | TogetherWanted
)


@dataclass(frozen=True)
class Wanted:
    """Any of the values in one parameter; `missing` is what the modifier :missing says."""

    parameter: Parameter
    values: tuple[ValueWanted, ...]
    modifier: Modifier = ""
    missing: bool = False


@dataclass(frozen=True)
class Chained:
    """A reference of this parameter leads to a resource that fits; one criterion for each type it may lead to."""

    parameter: Parameter
    inner: tuple[tuple[str, Criterion], ...]


@dataclass(frozen=True)
class Reverse:
    """A resource of `kind` that fits refers here by `parameter` (`_has`)."""

    kind: str
    parameter: Parameter
    inner: Criterion


@dataclass(frozen=True)
class Among:
    """One of these resources: what a criterion has become that had to be settled first."""

    keys: tuple[int, ...]


@dataclass(frozen=True)
class InRecord:
    """In the record of one of these patients (pseudonyms), or of the house: whose key seals it."""

    owners: tuple[str, ...]


@dataclass(frozen=True)
class AllOf:
    """All of these at once: what a step of a chain asks, and where it may look."""

    parts: tuple[Criterion, ...]


@dataclass(frozen=True)
class InCompartment:
    """The Patient with this id, or what refers to him by one of these parameters (R4 2.2.3)."""

    own_id: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class OfTypes:
    """Of one of these types, where all types are searched together."""

    kinds: tuple[str, ...]


Criterion = Wanted | Chained | Reverse | Among | AllOf | InRecord | InCompartment | OfTypes
EVERY_TYPE: Final = ""
"""Stands for a type where all types are searched together."""


def is_lossy(criterion: Criterion) -> bool:
    """Whether the index may answer with more than what fits, so that each resource has to be opened and asked."""
    if isinstance(criterion, Wanted):
        return _is_lossy(criterion)
    if isinstance(criterion, Chained):
        return any(is_lossy(inner) for _, inner in criterion.inner)
    if isinstance(criterion, AllOf):
        return any(is_lossy(part) for part in criterion.parts)
    return isinstance(criterion, Reverse) and is_lossy(criterion.inner)


def _is_lossy(wanted: Wanted) -> bool:
    if wanted.modifier == "text":
        return True
    if wanted.parameter.kind == "composite":
        return any(part.kind == "string" for part in wanted.parameter.parts)
    return wanted.parameter.is_hidden and wanted.parameter.kind == "string" and wanted.modifier == ""


def types_of(kind: str, criterion: Criterion) -> frozenset[str]:
    """Every type whose content decides the answer: who may not search one of them may not ask."""
    if isinstance(criterion, Chained):
        return frozenset({kind}).union(*(types_of(other, inner) for other, inner in criterion.inner))
    if isinstance(criterion, Reverse):
        return frozenset({kind}) | types_of(criterion.kind, criterion.inner)
    if isinstance(criterion, AllOf):
        return frozenset({kind}).union(*(types_of(kind, part) for part in criterion.parts))
    return frozenset({kind})


@dataclass(frozen=True)
class Order:
    """One key of a sort order; without a parameter the order of creation, which is what the newest are found by."""

    parameter: Parameter
    descending: bool = False


@dataclass(frozen=True)
class Place:
    """Where a resource stands in an order: the values of its sort keys, and its own key."""

    values: tuple[int | float | str, ...]
    key: int


@dataclass(frozen=True)
class Link:
    """References to follow: of one parameter, from one type, to one type; None: any."""

    parameter: Parameter | None = None
    source: str | None = None
    target: str | None = None
