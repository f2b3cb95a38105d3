"""From a resource to the values of its search parameters: a walk over JSON paths, no FHIRPath at run time.

What is malformed has no value and is never an error: a resource that the store has accepted can be indexed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice, product
from typing import Any

from gateway.domain.search_parameter import Parameter, Part, Place
from gateway.formats.fhir.search import read_value
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.references import Base, type_of
from gateway.formats.fhir.search.values import Together, Token, Value

MAX_VALUES = 1000  # of one parameter in one resource
MAX_TOGETHER = 500  # value tuples of one composite in one resource

Reader = Callable[[Any, Place, Base], Iterator[Value]]


def extract(resource: Mapping[str, Any], base: Base = "") -> dict[Parameter, list[Value]]:
    """The values of every parameter that has any. `base` is this server's own address, for absolute references."""
    found: dict[Parameter, list[Value]] = {}
    by_first, composites, special = _by_first(str(resource.get("resourceType", "")))
    elements = _Elements(base)
    for name, content in resource.items():
        for parameter, place, reader in by_first.get(name, ()):
            values = found.setdefault(parameter, [])
            for node in walk(content, place.path, 1):
                if len(values) < MAX_VALUES:
                    values.extend(elements.values(node, place, reader))
    for parameter in special:
        found[parameter] = [_deceased(resource)]
    for parameter in composites:
        found[parameter] = list(_together(resource, parameter, elements))
    return {parameter: values for parameter, values in found.items() if values}


class _Elements:
    """What the elements of one resource say; each is read once, however many parameters look at it.

    An element is known by its identity, which holds while the resource does.
    """

    def __init__(self, base: Base) -> None:
        self._base = base
        self._read: dict[tuple[int, str, str | None, Reader], list[Value]] = {}

    def values(self, node: Any, place: Place, reader: Reader) -> list[Value]:
        key = id(node), place.data, place.condition, reader
        known = self._read.get(key)
        if known is None:
            known = self._read[key] = list(reader(node, place, self._base))
        return known


def values_of(resource: Mapping[str, Any], parameter: Parameter, base: Base = "") -> list[Value]:
    """The values of one parameter."""
    return extract(resource, base).get(parameter, [])


def walk(node: Any, path: Sequence[str], start: int = 0) -> Iterator[Any]:
    """Every node at the end of a path; lists are passed through."""
    if isinstance(node, list):
        for each in node:
            yield from walk(each, path, start)
    elif start == len(path):
        yield node
    elif isinstance(node, dict):
        below = node.get(path[start])
        if below is not None:
            yield from walk(below, path, start + 1)


@cache
def _by_first(
    kind: str,
) -> tuple[dict[str, list[tuple[Parameter, Place, Reader]]], list[Parameter], list[Parameter]]:
    """Places by their first step, then the composites, then what is computed."""
    by_first: dict[str, list[tuple[Parameter, Place, Reader]]] = {}
    composites, special = [], []
    for parameter in parameters(kind).values():
        if parameter.kind == "composite":
            composites.append(parameter)
        elif parameter.data == {"deceased"}:
            special.append(parameter)
        else:
            for place in parameter.places:
                reader = _reader(parameter.kind, place)
                by_first.setdefault(place.path[0], []).append((parameter, place, reader))
    return by_first, composites, special


def _reader(kind: str, place: Place) -> Reader:
    reader: Reader = read_value.READERS[kind]
    condition = place.condition or ""
    if condition.startswith("is "):
        return _only(reader, lambda node: type_of(node) == condition[3:])
    if condition.startswith("system="):
        return _only(reader, lambda node: isinstance(node, dict) and node.get("system") == condition[7:])
    return reader


def _only(reader: Reader, holds: Callable[[Any], bool]) -> Reader:
    def read(node: Any, place: Place, base: Base) -> Iterator[Value]:
        if holds(node):
            yield from reader(node, place, base)

    return read


def _deceased(resource: Mapping[str, Any]) -> Token:
    """Patient.deceased.exists() and Patient.deceased != false."""
    is_dead = resource.get("deceasedBoolean") is True or "deceasedDateTime" in resource
    return Token("", "true" if is_dead else "false")


def _together(resource: Mapping[str, Any], composite: Parameter, elements: _Elements) -> Iterator[Together]:
    rows = (
        Together(row)
        for path in composite.of
        for element in walk(resource, path)
        for row in product(*_parts(resource, element, composite, elements))
    )
    return islice(rows, MAX_TOGETHER)


def _parts(
    resource: Mapping[str, Any], element: Any, composite: Parameter, elements: _Elements
) -> Sequence[Sequence[Value]]:
    """The values of each part; where one has none there is no tuple, and the others need no look."""
    found: list[Sequence[Value]] = []
    for part in composite.parts:
        found.append(list(_part_values(resource, element, part, elements)))
        if not found[-1]:
            return [()]
    return found


def _part_values(resource: Mapping[str, Any], element: Any, part: Part, elements: _Elements) -> Iterator[Value]:
    reader = read_value.READERS[part.kind]
    for place in part.places:
        top = place.path[0].startswith("%")
        path = (place.path[0][1:], *place.path[1:]) if top else place.path
        for node in walk(resource if top else element, path):
            for value in elements.values(node, place, reader):
                if isinstance(value, read_value.PLAIN):
                    yield value
