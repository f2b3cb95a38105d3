"""What R4 says of each type: members in order, cardinality, types, targets, codes; the Patient compartment.

Read once from the committed table (`data/r4.json.gz`, made by `deploy/tools/fhir_definitions.py` from the official
definitions). `value[x]` is spelled out: every Member is one key of the JSON form.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

RESOURCE: Final = "Resource"  # the type of contained, Bundle.entry.resource and the like: any resource


@dataclass(frozen=True, slots=True)
class Codes:
    """A value set that must be obeyed, by system."""

    by_system: Mapping[str, frozenset[str]]
    all: frozenset[str]


@dataclass(frozen=True, slots=True)
class Member:
    """One key of a type's JSON form, such as `status`, `valueQuantity`, `component`."""

    name: str
    element: str  # as defined: `value[x]` for `valueQuantity`
    kind: str  # name of its Type
    primitive: bool
    many: bool
    required: bool
    attribute: bool  # an attribute in XML
    summary: bool  # belongs to `_summary=true`
    targets: frozenset[str]  # resource types that a Reference may name; empty: any
    codes: Codes | None


@dataclass(frozen=True, slots=True)
class Type:
    """A resource, complex type, backbone element (`Observation.component`) or primitive."""

    name: str
    kind: str
    members: Mapping[str, Member] = field(default_factory=dict)
    required: tuple[tuple[str, ...], ...] = ()  # of each group one key must be there
    choices: tuple[frozenset[str], ...] = ()  # of each group one key may be there


@cache
def _document() -> dict[str, Any]:
    packed = (files("gateway.formats.fhir") / "data" / "r4.json.gz").read_bytes()
    read: dict[str, Any] = json.loads(gzip.decompress(packed))
    return read


@cache
def all_types() -> Mapping[str, Type]:
    """Every type by name."""
    rows, codes = _document()["types"], _codes()
    return {name: _type(name, row, rows, codes) for name, row in rows.items()}


def type_named(name: str) -> Type | None:
    return all_types().get(name)


@cache
def resource_types() -> frozenset[str]:
    """All resource types of R4, also those that the gateway does not store."""
    return frozenset(_document()["resources"])


def _codes() -> dict[str, Codes]:
    return {
        address: Codes(
            {system: frozenset(codes) for system, codes in systems.items()},
            frozenset(code for codes in systems.values() for code in codes),
        )
        for address, systems in _document()["codes"].items()
    }


def _type(name: str, row: Mapping[str, Any], rows: Mapping[str, Any], codes: Mapping[str, Codes]) -> Type:
    members: dict[str, Member] = {}
    required: list[tuple[str, ...]] = []
    choices: list[frozenset[str]] = []
    for element in row["elements"]:
        made = _members(element, rows, codes)
        members.update((each.name, each) for each in made)
        names = tuple(each.name for each in made)
        if element[1]:
            required.append(names)
        if len(names) > 1:
            choices.append(frozenset(names))
    return Type(name, row["kind"], members, tuple(required), tuple(choices))


def _members(row: list[Any], rows: Mapping[str, Any], codes: Mapping[str, Codes]) -> list[Member]:
    missing: list[Any] = ["", [], ""][len(row) - 4 :]
    name, least, most, kinds, flags, targets, address = row + missing
    base = name.removesuffix("[x]")
    return [
        Member(
            name=base + kind[0].upper() + kind[1:] if name.endswith("[x]") else base,
            element=name,
            kind=kind,
            primitive=rows.get(kind, {"kind": ""})["kind"] == "primitive",
            many=most != 1,
            required=least > 0,
            attribute="a" in flags,
            summary="s" in flags,
            targets=frozenset(targets) if kind == "Reference" else frozenset(),
            codes=codes[address] if address else None,
        )
        for kind in kinds
    ]
