"""FHIRPath Patch: a Parameters resource of operations on places named by FHIRPath (FHIR R4 fhirpatch.html).

All operations or none; the resource that was given is left alone. Lists of primitives keep the ids and extensions
that stand beside their values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.formats.fhir.wire.definitions import Member, type_named
from gateway.formats.fhir.wire.fhirpath import Element, evaluate, members_of
from gateway.formats.fhir.wire.fhirpath_syntax import Call, Index, Node, Step, read_path
from gateway.formats.fhir.wire.issue import InvalidResource, refused
from gateway.formats.fhir.wire.patched import MOST_OPERATIONS, Budget, copied, finished

_PARTS: Final = frozenset(("type", "path", "name", "value", "index", "source", "destination"))
_MOST_NESTED: Final = 16
Part = dict[str, Any]


def fhirpath_patch(resource: dict[str, Any], parameters: Any) -> dict[str, Any]:
    """The patched resource; InvalidResource where an operation is malformed or finds no such place."""
    if type(parameters) is not dict or parameters.get("resourceType") != "Parameters":
        raise refused("structure", "a FHIRPath patch is a Parameters resource")
    operations = parameters.get("parameter", [])
    if type(operations) is not list:
        raise refused("structure", "this element is a list", "Parameters.parameter")
    if len(operations) > MOST_OPERATIONS:
        raise refused("too-costly", f"a patch has more than {MOST_OPERATIONS} operations")
    patch = _Patch(copied(resource))
    for number, operation in enumerate(operations):
        try:
            patch.apply(_operation(operation))
        except InvalidResource as cause:
            found = cause.issues[0]
            raise refused(found.code, f"operation {number}: {found.text}", f"Parameters.parameter[{number}]") from None
    return finished(patch.resource, resource)


def _operation(parameter: Any) -> dict[str, Part]:
    """The parts of one operation by name."""
    parts = parameter.get("part") if type(parameter) is dict and parameter.get("name") == "operation" else None
    if type(parts) is not list:
        raise refused("structure", "each parameter is an operation with parts")
    found: dict[str, Part] = {}
    for part in parts:
        name = part.get("name") if type(part) is dict else None
        if type(name) is not str or name not in _PARTS or name in found:
            raise refused("structure", "an operation has an unknown part, or one twice")
        found[name] = part
    return found


def _text(parts: dict[str, Part], name: str) -> str:
    for key in ("valueString", "valueCode"):
        value = parts.get(name, {}).get(key)
        if type(value) is str:
            return value
    raise refused("required", f"the part {name} is missing")


def _whole(parts: dict[str, Part], name: str) -> int:
    value = parts.get(name, {}).get("valueInteger")
    if type(value) is not int or value < 0:
        raise refused("required", f"the part {name} is missing or no place in a list")
    return value


@dataclass(slots=True)
class _Repeated:
    """A list of a resource and what stands beside it, changed together."""

    owner: dict[str, Any]
    member: Member
    rows: list[tuple[Any, Any]]

    def write(self) -> None:
        name = self.member.name
        values, beside = [value for value, _ in self.rows], [other for _, other in self.rows]
        self.owner.pop(name, None)
        self.owner.pop(f"_{name}", None)
        if any(value is not None for value in values):
            self.owner[name] = values
        if any(other is not None for other in beside):
            self.owner[f"_{name}"] = beside


def _repeated(owner: dict[str, Any], member: Member) -> _Repeated:
    values, beside = owner.get(member.name), owner.get(f"_{member.name}")
    values, beside = values if type(values) is list else [], beside if type(beside) is list else []
    length = max(len(values), len(beside))
    padded = [each + [None] * (length - len(each)) for each in (values, beside)]
    return _Repeated(owner, member, list(zip(*padded, strict=True)))


class _Patch:
    """A resource under change."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self._budget = Budget()

    def apply(self, parts: dict[str, Part]) -> None:
        act = self._ACTS.get(_text(parts, "type"))
        if act is None:
            raise refused("structure", "type must be add, insert, delete, replace or move")
        act(self, parts, read_path(_text(parts, "path")))

    def _one(self, path: Node) -> Element:
        found = evaluate(path, self.resource)
        if len(found) != 1:
            raise refused("processing", "the path does not lead to exactly one element")
        return found[0]

    def _add(self, parts: dict[str, Part], path: Node) -> None:
        element, name = self._one(path), _text(parts, "name")
        owner = _inside(element)
        member, value, beside = self._value(parts, _candidates(element, name))
        if member.many:
            repeated = _repeated(owner, member)
            repeated.rows.append((value, beside))
            repeated.write()
        elif any(each.name in owner or f"_{each.name}" in owner for each in _candidates(element, name)):
            raise refused("processing", "the element to be added is there already and may stand once")
        else:
            _set(owner, member, value, beside)

    def _insert(self, parts: dict[str, Part], path: Node) -> None:
        repeated = self._list(path)
        index = _whole(parts, "index")
        _, value, beside = self._value(parts, [repeated.member])
        if index > len(repeated.rows):
            raise refused("processing", "the index is beyond the list")
        repeated.rows.insert(index, (value, beside))
        repeated.write()

    def _delete(self, parts: dict[str, Part], path: Node) -> None:
        found = evaluate(path, self.resource)
        if len(found) > 1:
            raise refused("processing", "the path leads to more than one element")
        if not found:
            return
        element = found[0]
        owner, member = _standing(element)
        if element.index is None:
            _set(owner, member, None, None)
            return
        repeated = _repeated(owner, member)
        del repeated.rows[element.index]
        repeated.write()

    def _replace(self, parts: dict[str, Part], path: Node) -> None:
        element = self._one(path)
        owner, member = _standing(element)
        if element.index is not None:
            _, value, beside = self._value(parts, [member])
            repeated = _repeated(owner, member)
            repeated.rows[element.index] = (value, beside)
            repeated.write()
            return
        candidates = _siblings(member, owner, self.resource, path)
        chosen, value, beside = self._value(parts, candidates)
        _set(owner, member, None, None)
        _set(owner, chosen, value, beside)

    def _move(self, parts: dict[str, Part], path: Node) -> None:
        repeated = self._list(path)
        source, target = _whole(parts, "source"), _whole(parts, "destination")
        if max(source, target) >= len(repeated.rows):
            raise refused("processing", "source or destination is beyond the list")
        repeated.rows.insert(target, repeated.rows.pop(source))
        repeated.write()

    def _list(self, path: Node) -> _Repeated:
        """The list that a path names, also an empty one, so the last step is looked up by hand."""
        if not isinstance(path, Step):
            raise refused("processing", "the path does not name a list")
        if path.source is None:
            found = [Element(self.resource, str(self.resource.get("resourceType")))]
        else:
            found = evaluate(path.source, self.resource)
        if len(found) != 1:
            raise refused("processing", "the path does not lead to exactly one list")
        member = members_of(found[0]).get(path.name)
        if member is None or not member.many:
            raise refused("processing", "the path does not name a list")
        return _repeated(_inside(found[0]), member)

    def _value(self, parts: dict[str, Part], candidates: list[Member]) -> tuple[Member, Any, Any]:
        """The member that takes the value, the value and what stands beside it."""
        if "value" not in parts:
            raise refused("required", "the part value is missing")
        member, value, beside = _typed(parts["value"], candidates, 0)
        return member, self._budget.spend(value), self._budget.spend(beside)

    _ACTS: Final[dict[str, Callable[[_Patch, dict[str, Part], Node], None]]] = {
        "add": _add,
        "insert": _insert,
        "delete": _delete,
        "replace": _replace,
        "move": _move,
    }


def _inside(element: Element) -> dict[str, Any]:
    """The JSON object that holds the element's members; that of a primitive is made beside it."""
    if element.member is None or not element.member.primitive:
        if type(element.value) is dict:
            return element.value
        raise refused("processing", "the path does not lead to an element with members")
    owner, member = _standing(element)
    beside: dict[str, Any] = element.beside
    if element.index is None:
        owner[f"_{member.name}"] = beside
    else:
        repeated = _repeated(owner, member)
        repeated.rows[element.index] = (element.value, beside)
        repeated.write()
    return beside


def _standing(element: Element) -> tuple[dict[str, Any], Member]:
    if element.owner is None or element.member is None:
        raise refused("processing", "the path leads to the resource itself or to no element")
    return element.owner, element.member


def _candidates(element: Element, name: str) -> list[Member]:
    """Members that a name may mean: one, or all of `value[x]`."""
    members = members_of(element)
    found = [member for member in members.values() if name in (member.name, member.element, member.element[:-3])]
    if not found:
        raise refused("processing", "the name is no element of that type")
    return found


def _siblings(member: Member, owner: dict[str, Any], resource: dict[str, Any], path: Node) -> list[Member]:
    """All types of a choice, when the path does not ask for one of them."""
    if not member.element.endswith("[x]"):
        return [member]
    source: Node | None = path
    while isinstance(source, Call | Index):
        source = source.source
    holders = evaluate(source.source, resource) if isinstance(source, Step) and source.source is not None else []
    if not holders:
        holders = [Element(resource, str(resource.get("resourceType")))]
    return [each for each in members_of(holders[0]).values() if each.element == member.element] or [member]


def _set(owner: dict[str, Any], member: Member, value: Any, beside: Any) -> None:
    for key, each in ((member.name, value), (f"_{member.name}", beside)):
        if each is None:
            owner.pop(key, None)
        else:
            owner[key] = each


def _typed(part: Part, candidates: list[Member], nested: int) -> tuple[Member, Any, Any]:
    """The value of a part: `value[x]`, `resource`, or parts for an element that has no type of its own."""
    if nested > _MOST_NESTED:
        raise refused("too-costly", f"a value has parts nested deeper than {_MOST_NESTED}")
    keys = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value")}
    if "part" in part and not keys:
        return candidates[0], _assembled(part["part"], candidates[0], nested), None
    if "resource" in part and not keys:
        return candidates[0], part["resource"], None
    if len(keys) != 1:
        raise refused("structure", "a value is one value[x], one resource or parts")
    key = keys.pop()
    kind = key.removeprefix("value")
    member = next((each for each in candidates if each.kind[:1].upper() + each.kind[1:] == kind), None)
    value, beside = part.get(key), part.get(f"_{key}")
    if member is None:
        member = next((each for each in candidates if each.primitive == (type(value) is not dict)), None)
        if member is None or len(candidates) > 1:
            raise refused("processing", "the value is not of a type that this element takes")
    return member, value, beside


def _assembled(parts: Any, member: Member, nested: int) -> dict[str, Any]:
    """An object of an anonymous type, one part for each member."""
    kind = type_named(member.kind)
    if kind is None or member.primitive or type(parts) is not list:
        raise refused("processing", "this element does not take parts")
    made: dict[str, Any] = {}
    holder = Element(made, kind.name)
    for part in parts:
        name = part.get("name") if type(part) is dict else None
        if type(name) is not str:
            raise refused("structure", "a part has no name")
        inner, value, beside = _typed(part, _candidates(holder, name), nested + 1)
        if inner.many:
            repeated = _repeated(made, inner)
            repeated.rows.append((value, beside))
            repeated.write()
        else:
            _set(made, inner, value, beside)
    return made
