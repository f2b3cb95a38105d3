"""Judges a resource against the snapshot of a profile: cardinality, types, patterns, slices, bindings (R4 5.1).

Written from the specification alone, apart from the code it judges. Reads excerpts of StructureDefinitions; FHIRPath
invariants and value sets outside of the excerpt are the business of other judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Resource = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
GENOMICS = Path(__file__).parents[1] / "unit/gateway/formats/fhir/genomics_reporting/profiles.json"


@cache
def genomics() -> Mapping[str, Any]:
    """The excerpt of HL7 Genomics Reporting; where it is from stands beside it."""
    found: Mapping[str, Any] = json.loads(GENOMICS.read_text("utf-8"))
    return found


@dataclass(frozen=True)
class Profile:
    """One snapshot. `values`: codes of a value set by system (None: all); `known`: resources by Type/id."""

    definition: Mapping[str, Any]
    values: Mapping[str, Mapping[str, list[str] | None]]
    known: Mapping[str, Resource]
    elements: Mapping[str, Mapping[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "elements", {one["id"]: one for one in self.definition["elements"]})

    def problems(self, resource: Resource) -> list[str]:
        root = self.definition["type"]
        if resource["resourceType"] != root:
            return [f"{root}: a {resource['resourceType']}"]
        return list(self._children(resource, root))

    def _children(self, node: Resource, parent: str) -> Iterator[str]:
        for own_id, element in self._below(parent):
            name = own_id.rpartition(".")[2]
            found = _values(node, name)
            yield from _counted(own_id, element, len(found))
            for kind, value in found:
                yield from self._value(value, kind, element)
            yield from self._slices([value for _, value in found], element)

    def _below(self, parent: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Direct children that are no slices."""
        for own_id, element in self.elements.items():
            before, _, name = own_id.rpartition(".")
            if before == parent and ":" not in name:
                yield own_id, element

    def _value(self, value: Any, kind: str, element: Mapping[str, Any]) -> Iterator[str]:
        own_id = element["id"]
        for name, wanted in element.items():
            if name.startswith("pattern") and not _holds(value, wanted):
                yield f"{own_id}: not as its pattern"
            if name.startswith("fixed") and value != wanted:
                yield f"{own_id}: not its fixed value"
        types = [one["code"] for one in element.get("type", ())]
        if kind and kind not in {one[0].upper() + one[1:] for one in types}:
            yield f"{own_id}: a {kind}"
        if "Reference" in types and isinstance(value, dict) and "reference" in value:
            yield from self._reference(value["reference"], element)
        if "binding" in element:
            yield from self._bound(value, element)
        if isinstance(value, dict):
            yield from self._children(value, own_id)

    def _slices(self, values: list[Any], element: Mapping[str, Any]) -> Iterator[str]:
        if "slicing" not in element:
            return
        names = [
            one for one in self.elements if one.startswith(f"{element['id']}:") and "." not in one[len(element["id"]) :]
        ]
        for name in names:
            sliced = self.elements[name]
            chosen = [value for value in values if self._is_of(value, sliced, element["slicing"])]
            yield from _counted(name, sliced, len(chosen))
            for value in chosen:
                yield from self._value(value, "", sliced)

    def _is_of(self, value: Any, sliced: Mapping[str, Any], slicing: Mapping[str, Any]) -> bool:
        return all(self._tells(value, sliced, one) for one in slicing["discriminator"])

    def _tells(self, value: Any, sliced: Mapping[str, Any], discriminator: Mapping[str, str]) -> bool:
        path = discriminator["path"]
        types = sliced.get("type", ())
        if discriminator["type"] == "profile":
            assert path == "resolve()"
            claimed = self.known.get(value.get("reference", ""), {}).get("meta", {}).get("profile", ())
            return any(target in claimed for one in types for target in one.get("targetProfile", ()))
        if path == "url":
            return any(value.get("url") in one.get("profile", ()) for one in types)
        told = self.elements[f"{sliced['id']}.{path}"]
        (wanted,) = [each for name, each in told.items() if name.startswith("pattern")]
        found = value.get(path)
        return any(_holds(each, wanted) for each in (found if isinstance(found, list) else [found]))

    def _reference(self, reference: str, element: Mapping[str, Any]) -> Iterator[str]:
        """The type of what is named is one of those allowed; profiles of it are the slices' matter."""
        targets = [each for one in element["type"] for each in one.get("targetProfile", ())]
        core = {each.removeprefix(CORE) for each in targets if each.startswith(CORE)}
        kind = reference.partition("/")[0]
        if core and "Resource" not in core and kind not in core:
            yield f"{element['id']}: names a {kind}"

    def _bound(self, value: Any, element: Mapping[str, Any]) -> Iterator[str]:
        binding = element["binding"]
        codes = self.values.get(binding["valueSet"].partition("|")[0])
        if codes is None or not isinstance(value, dict):
            return
        coded = value.get("coding", ())
        fits = any(one["system"] in codes and _lists(codes[one["system"]], one["code"]) for one in coded)
        if not fits and (coded or binding["strength"] == "required"):
            yield f"{element['id']}: no code of {binding['valueSet']}"


def genomics_problems(resources: Iterable[Resource]) -> dict[str, list[str]]:
    """By Type/id and profile, of every resource that claims one: what is wrong with it, mostly nothing."""
    known = {f"{one['resourceType']}/{one['id']}": one for one in resources}
    judges = {one["url"]: Profile(one, genomics()["valueSets"], known) for one in genomics()["profiles"]}
    return {
        f"{name} {url.rpartition('/')[2]}": judges[url].problems(one)
        for name, one in known.items()
        for url in one.get("meta", {}).get("profile", ())
        if url in judges
    }


def _lists(codes: list[str] | None, code: str) -> bool:
    return codes is None or code in codes


def _values(node: Resource, name: str) -> list[tuple[str, Any]]:
    """What stands in an element, each with its type where the element is a choice."""
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        return [
            (key.removeprefix(stem), value)
            for key, value in node.items()
            if key.startswith(stem) and key[len(stem) : len(stem) + 1].isupper()
        ]
    if name not in node:
        return []
    found = node[name]
    return [("", each) for each in (found if isinstance(found, list) else [found])]


def _counted(own_id: str, element: Mapping[str, Any], count: int) -> Iterator[str]:
    if count < element["min"]:
        yield f"{own_id}: {count} of at least {element['min']}"
    if element["max"] != "*" and count > int(element["max"]):
        yield f"{own_id}: {count} of at most {element['max']}"


def _holds(value: Any, pattern: Any) -> bool:
    """R4 ElementDefinition.pattern[x]: what the pattern says is there; more may be."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_holds(value.get(name), each) for name, each in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_holds(one, each) for one in value) for each in pattern)
    return bool(value == pattern)
