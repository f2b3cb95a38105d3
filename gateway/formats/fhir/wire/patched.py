"""What every patch has to leave behind: a resource of the same type and id, bounded, without empty objects or lists.

FHIR R4 3.1.0.10 (patch) and 2.6.2 (an element is never empty). Whether it is valid is `check`'s business.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.formats.fhir.wire.issue import refused
from gateway.formats.fhir.wire.json_form import refuse_deep

MOST_OPERATIONS: Final = 1000
MOST_COPIED: Final = 200_000  # values that one patch may add, so that copying a copy does not grow without end


def copied(value: Any) -> Any:
    """The value with new lists and objects."""
    if type(value) is dict:
        return {name: copied(inner) for name, inner in value.items()}
    if type(value) is list:
        return [copied(inner) for inner in value]
    return value


def size(value: Any) -> int:
    """How many values it holds, itself among them."""
    if type(value) is dict:
        return 1 + sum(map(size, value.values()))
    if type(value) is list:
        return 1 + sum(map(size, value))
    return 1


class Budget:
    """What a patch may still add."""

    def __init__(self) -> None:
        self._left = MOST_COPIED

    def spend(self, value: Any) -> Any:
        """A copy of the value, counted."""
        refuse_deep(value)
        self._left -= size(value)
        if self._left < 0:
            raise refused("too-costly", f"the patch adds more than {MOST_COPIED} values")
        return copied(value)


def finished(result: Any, before: dict[str, Any]) -> dict[str, Any]:
    """The patched resource, or InvalidResource where it is no longer the one that was to be patched."""
    name = str(before.get("resourceType", ""))
    if type(result) is not dict or result.get("resourceType") != name:
        raise refused("processing", "a patch may not change the resource type", f"{name}.resourceType")
    if result.get("id") != before.get("id"):
        raise refused("processing", "a patch may not change the id", f"{name}.id")
    refuse_deep(result)
    return {key: value for key, value in without_empty(result).items() if value is not _NOTHING}


class _Nothing:
    """Stands for what was empty."""


_NOTHING: Final = _Nothing()


def without_empty(value: Any) -> Any:
    """Removing the last member of a list or object removes the list or object."""
    if type(value) is dict:
        kept = {name: inner for name, each in value.items() if (inner := without_empty(each)) is not _NOTHING}
        return kept or _NOTHING
    if type(value) is list:
        left = [inner for each in value if (inner := without_empty(each)) is not _NOTHING]
        return left or _NOTHING
    return value
