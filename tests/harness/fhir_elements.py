"""What the R4B models of fhir.resources say of a type's elements: data type, list or not; and instances made of them.

Another project's reading of the standard, so that our own table of elements is not tested by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

SKIPPED = {"fhir_comments", "resource_type", "resourceType"}
PRIMITIVES = {
    "Boolean": True,
    "Integer": 7,
    "PositiveInt": 7,
    "UnsignedInt": 7,
    "Decimal": 7.5,
    "Date": "2024-02-29",
    "DateTime": "2024-02-29",
    "Instant": "2024-02-29T08:15:30Z",
    "Time": "08:15:30",
}


class Element(NamedTuple):
    """`type` is a primitive's name or a class name; `listed` where it repeats."""

    type: str
    listed: bool


@cache
def model(name: str, near: str = "") -> Any:
    """The class of a resource, data type or backbone element (whose module is that of the resource `near`)."""
    for module in (name, near, re.sub(r"(?<!^)[A-Z].*", "", name)):
        try:
            found = getattr(import_module(f"fhir.resources.R4B.{module.lower()}"), name, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            return found
    raise LookupError(name)


@cache
def elements(name: str, near: str = "") -> dict[str, Element]:
    """The elements of a type by their JSON names."""
    found = {}
    for field, info in model(name, near or name).model_fields.items():
        if field in SKIPPED or field.endswith("__ext"):
            continue
        told = str(info.annotation)
        types = re.findall(r"abc\.(\w+)Type\b|,\s*(\w+)\(", told)
        if types or "bool" in told:
            found[info.alias or field] = Element((types[0][0] or types[0][1]) if types else "Boolean", "List[" in told)
    return found


def instance(name: str, text: Callable[[], str], near: str = "", depth: int = 5) -> dict[str, Any]:
    """An object with every element filled; `text` gives the value of everything that is a string."""
    made: dict[str, Any] = {}
    for element, (kind, listed) in elements(name, near).items():
        value = _value(kind, text, near or name, depth)
        if value is not None:
            made[element] = [value, value] if listed else value
    return made


def _value(kind: str, text: Callable[[], str], near: str, depth: int) -> Any:
    if kind in PRIMITIVES:
        return PRIMITIVES[kind]
    if kind in ("String", "Code", "Uri", "Url", "Canonical", "Id", "Markdown", "Oid", "Uuid", "Base64Binary", "Xhtml"):
        return text()
    if depth == 0 or kind in ("Resource", "ResourceType"):
        return None
    try:
        return instance(kind, text, near, depth - 1)
    except LookupError:
        return None
