"""JSON Patch over a resource in its JSON form (RFC 6902, FHIR R4 3.1.0.10).

All operations or none; the resource that was given is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.formats.fhir.wire.issue import refused
from gateway.formats.fhir.wire.patched import MOST_OPERATIONS, Budget, copied, finished

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ESCAPE: Final = re.compile(r"~(?![01])")
MOST_STEPS: Final = 64
Steps = list[str]


def json_patch(resource: dict[str, Any], operations: Any) -> dict[str, Any]:
    """The patched resource; InvalidResource where an operation is malformed, finds no place, or a test fails."""
    if type(operations) is not list:
        raise refused("structure", "a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise refused("too-costly", f"a patch has more than {MOST_OPERATIONS} operations")
    patch = _Patch(copied(resource))
    for number, operation in enumerate(operations):
        try:
            patch.apply(operation)
        except _Failed as cause:
            raise refused(cause.code, f"operation {number}: {cause}") from None
    return finished(patch.root, resource)


class _Failed(Exception):
    """One operation cannot be done."""

    def __init__(self, text: str, code: str = "processing") -> None:
        super().__init__(text)
        self.code = code


def _malformed(text: str) -> _Failed:
    return _Failed(text, "structure")


class _Patch:
    """A document under change."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._budget = Budget()

    def apply(self, operation: Any) -> None:
        if type(operation) is not dict:
            raise _malformed("an operation is a JSON object")
        act = self._ACTS.get(operation["op"]) if type(operation.get("op")) is str else None
        if act is None:
            raise _malformed("op must be add, remove, replace, move, copy or test")
        act(self, operation)

    def _add(self, operation: Mapping[str, Any]) -> None:
        self._put(_steps(operation, "path"), self._budget.spend(_value(operation)))

    def _remove(self, operation: Mapping[str, Any]) -> None:
        self._take(_steps(operation, "path"))

    def _replace(self, operation: Mapping[str, Any]) -> None:
        steps, value = _steps(operation, "path"), self._budget.spend(_value(operation))
        if not steps:
            self.root = value
            return
        owner, key = self._place(steps)
        owner[key] = value

    def _move(self, operation: Mapping[str, Any]) -> None:
        source, target = _steps(operation, "from"), _steps(operation, "path")
        if len(target) > len(source) and target[: len(source)] == source:
            raise _Failed("nothing can be moved into itself")
        self._get(source)
        self._put(target, self._take(source))

    def _copy(self, operation: Mapping[str, Any]) -> None:
        found = self._get(_steps(operation, "from"))
        self._put(_steps(operation, "path"), self._budget.spend(found))

    def _test(self, operation: Mapping[str, Any]) -> None:
        if not equal(self._get(_steps(operation, "path")), _value(operation)):
            raise _Failed("the test does not hold")

    def _get(self, steps: Steps) -> Any:
        found = self.root
        for step in steps:
            found = found[_key(found, step)]
        return found

    def _place(self, steps: Steps) -> tuple[Any, Any]:
        """The object or list that holds what the steps lead to, and under which key."""
        owner = self._get(steps[:-1])
        return owner, _key(owner, steps[-1])

    def _take(self, steps: Steps) -> Any:
        if not steps:
            raise _Failed("the whole resource cannot be removed")
        owner, key = self._place(steps)
        return owner.pop(key)

    def _put(self, steps: Steps, value: Any) -> None:
        if not steps:
            self.root = value
            return
        owner = self._get(steps[:-1])
        if type(owner) is dict:
            owner[steps[-1]] = value
        elif type(owner) is list:
            owner.insert(_slot(owner, steps[-1]), value)
        else:
            raise _Failed("the path leads into a plain value")

    _ACTS: Final[dict[str, Callable[[_Patch, Mapping[str, Any]], None]]] = {
        "add": _add,
        "remove": _remove,
        "replace": _replace,
        "move": _move,
        "copy": _copy,
        "test": _test,
    }


def _value(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise _malformed("value is missing")
    return operation["value"]


def _steps(operation: Mapping[str, Any], name: str) -> Steps:
    """A JSON pointer (RFC 6901) as keys."""
    pointer = operation.get(name)
    if type(pointer) is not str or not (pointer == "" or pointer.startswith("/")) or _ESCAPE.search(pointer):
        raise _malformed(f"{name} is no JSON pointer")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    if len(steps) > MOST_STEPS:
        raise _malformed(f"{name} has more than {MOST_STEPS} steps")
    return steps


def _key(owner: Any, step: str) -> Any:
    """The key under which the step leads to something that exists."""
    if type(owner) is dict and step in owner:
        return step
    if type(owner) is list and _INDEX.fullmatch(step) and int(step) < len(owner):
        return int(step)
    raise _Failed("the path leads nowhere")


def _slot(owner: list[Any], step: str) -> int:
    if step == "-":
        return len(owner)
    if _INDEX.fullmatch(step) and int(step) <= len(owner):
        return int(step)
    raise _Failed("the path leads beyond the list")


def equal(one: Any, other: Any) -> bool:
    """Equality of JSON (RFC 6902 4.6): numbers by value, true is not 1."""
    if type(one) is dict:
        return type(other) is dict and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if type(one) is list:
        return type(other) is list and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, int | Decimal) and not isinstance(one, bool):
        return isinstance(other, int | Decimal) and not isinstance(other, bool) and one == other
    return type(one) is type(other) and bool(one == other)
