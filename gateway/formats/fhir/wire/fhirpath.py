"""Evaluates the paths of `fhirpath_syntax` over a resource and keeps where each found element stands.

A patch changes what a path finds, so an Element knows its owner and key, not only its value. Types come from the
table of R4: `value` finds `valueQuantity`, `ofType(Quantity)` asks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gateway.formats.fhir.wire.definitions import RESOURCE, Member, type_named
from gateway.formats.fhir.wire.fhirpath_syntax import Binary, Call, Index, Literal, Node, Step
from gateway.formats.fhir.wire.issue import refused

MOST_VISITED: Final = 200_000


@dataclass(frozen=True, slots=True)
class Element:
    """One element found, or a literal or answer of a comparison (whose owner is None)."""

    value: Any
    kind: str  # name of its type in the table
    owner: dict[str, Any] | None = None
    key: str = ""
    index: int | None = None  # place in the list owner[key]
    member: Member | None = None

    @property
    def beside(self) -> dict[str, Any]:
        """The id and extensions of a primitive."""
        found = self.owner.get(f"_{self.key}") if self.owner is not None else None
        if self.index is not None:
            found = found[self.index] if type(found) is list and self.index < len(found) else None
        return found if type(found) is dict else {}


def resource_element(resource: dict[str, Any]) -> Element:
    return Element(resource, str(resource.get("resourceType")))


def members_of(element: Element) -> dict[str, Member]:
    """What may stand in the element, by JSON key."""
    kind = type_named("Element" if element.member is not None and element.member.primitive else element.kind)
    return dict(kind.members) if kind is not None else {}


def children(element: Element, name: str) -> Iterator[Element]:
    """The members of that name; `value` stands for every `value[x]`."""
    primitive = element.member is not None and element.member.primitive
    owner = element.beside if primitive else element.value
    if type(owner) is not dict:
        return
    for key, member in members_of(element).items():
        if (key == name or member.element == f"{name}[x]") and (key in owner or f"_{key}" in owner):
            yield from _standing(owner, key, member)


def _standing(owner: dict[str, Any], key: str, member: Member) -> Iterator[Element]:
    values = owner.get(key)
    if not member.many:
        yield Element(values, _kind(values, member), owner, key, None, member)
        return
    beside = owner.get(f"_{key}")
    longest = max(len(each) if type(each) is list else 0 for each in (values, beside))
    for index in range(longest):
        value = values[index] if type(values) is list and index < len(values) else None
        yield Element(value, _kind(value, member), owner, key, index, member)


def _kind(value: Any, member: Member) -> str:
    if member.kind == RESOURCE and type(value) is dict:
        return str(value.get("resourceType"))
    return member.kind


def evaluate(node: Node, resource: dict[str, Any]) -> list[Element]:
    """What the path finds, in order; InvalidResource where it asks for something that is not offered."""
    return _Evaluation(resource_element(resource)).run(node, [resource_element(resource)], at_start=True)


class _Evaluation:
    """One evaluation with its bound on work."""

    def __init__(self, root: Element) -> None:
        self._root = root
        self._left = MOST_VISITED

    def run(self, node: Node, context: list[Element], *, at_start: bool = False) -> list[Element]:
        self._left -= 1 + len(context)
        if self._left < 0:
            raise refused("too-costly", "a path visits too many elements")
        if isinstance(node, Literal):
            return [Element(node.value, "")]
        if isinstance(node, Binary):
            return self._binary(node, context, at_start)
        if isinstance(node, Index):
            return self.run(node.source, context, at_start=at_start)[node.index : node.index + 1]
        source = context if node.source is None else self.run(node.source, context, at_start=at_start)
        if isinstance(node, Call):
            return self._call(node, source)
        return self._step(node, source, at_start and node.source is None)

    def _step(self, node: Step, source: list[Element], at_start: bool) -> list[Element]:
        if node.source is None and node.name == "$this":
            return source
        if at_start and node.name in (self._root.kind, "Resource", "DomainResource"):
            return source
        found = [child for element in source for child in children(element, node.name)]
        self._left -= len(found)
        return found

    def _binary(self, node: Binary, context: list[Element], at_start: bool) -> list[Element]:
        left = self.run(node.left, context, at_start=at_start)
        right = self.run(node.right, context, at_start=at_start)
        if node.sign in ("and", "or"):
            answers = [_true(left), _true(right)]
            return [Element(all(answers) if node.sign == "and" else any(answers), "boolean")]
        if not left or not right:
            return []
        same = len(left) == len(right) and all(map(_same, left, right))
        return [Element(same == (node.sign == "="), "boolean")]

    def _call(self, node: Call, source: list[Element]) -> list[Element]:
        act = _CALLS.get(node.name)
        if act is None or len(node.arguments) not in act[0]:
            raise refused("not-supported", "a path has a function that patches do not use")
        return act[1](self, source, node.arguments)

    def _where(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        return [element for element in source if _true(self.run(arguments[0], [element]))]

    def _exists(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        found = self._where(source, arguments) if arguments else source
        return [Element(bool(found), "boolean")]

    def _empty(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        return [Element(not source, "boolean")]

    def _not(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        return [Element(not _true(source), "boolean")] if source else []

    def _first(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        return source[:1]

    def _last(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        return source[-1:]

    def _single(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        if len(source) > 1:
            raise refused("processing", "a path says single() and finds more")
        return source

    def _of_type(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        name = arguments[0]
        if not isinstance(name, Step):
            raise refused("structure", "a path asks for a type without its name")
        return [element for element in source if element.kind == name.name]

    def _extension(self, source: list[Element], arguments: tuple[Node, ...]) -> list[Element]:
        url = arguments[0]
        if not isinstance(url, Literal):
            raise refused("structure", "a path asks for an extension without its url")
        found = [child for element in source for child in children(element, "extension")]
        return [each for each in found if type(each.value) is dict and each.value.get("url") == url.value]


_Act = Callable[[_Evaluation, list[Element], tuple[Node, ...]], list[Element]]
_CALLS: Final[dict[str, tuple[tuple[int, ...], _Act]]] = {
    "where": ((1,), _Evaluation._where),
    "exists": ((0, 1), _Evaluation._exists),
    "empty": ((0,), _Evaluation._empty),
    "not": ((0,), _Evaluation._not),
    "first": ((0,), _Evaluation._first),
    "last": ((0,), _Evaluation._last),
    "single": ((0,), _Evaluation._single),
    "ofType": ((1,), _Evaluation._of_type),
    "as": ((1,), _Evaluation._of_type),
    "extension": ((1,), _Evaluation._extension),
}


def _true(found: list[Element]) -> bool:
    """One element that is no boolean counts as true (FHIRPath 5.1, singleton evaluation)."""
    if len(found) > 1:
        raise refused("processing", "a condition in a path finds more than one value")
    return bool(found) and found[0].value is not False


def _same(one: Element, other: Element) -> bool:
    if isinstance(one.value, bool) or isinstance(other.value, bool):
        return one.value is other.value
    if isinstance(one.value, int | Decimal) and isinstance(other.value, int | Decimal):
        return one.value == other.value
    return type(one.value) is type(other.value) and bool(one.value == other.value)
