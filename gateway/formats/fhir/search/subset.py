"""A resource in part: `_summary` and `_elements` (R4 3.1.1.5.8, 3.1.1.5.9), marked SUBSETTED so that nobody stores it.

Which elements are a summary or mandatory stands in summary.json, made from the official definitions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.formats.fhir.element import Resource

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})


def subset(resource: Mapping[str, Any], summary: str, elements: Sequence[str] = ()) -> Resource:
    """What is to be shown of the resource: all of it for `_summary=false` without elements."""
    kind = str(resource.get("resourceType", ""))
    if elements:
        return _only(resource, _named(resource, frozenset(elements)) | _mandatory(kind))
    if summary == "true":
        return _only(resource, _summary(kind) | _mandatory(kind))
    if summary == "text":
        return _only(resource, _mandatory(kind) | {"text"})
    if summary == "data":
        return _only(resource, frozenset(resource) - {"text"})
    return dict(resource)


def _only(resource: Mapping[str, Any], names: frozenset[str]) -> Resource:
    """These members; a primitive's extensions (`_name`) go with it."""
    kept = {name: value for name, value in resource.items() if name.removeprefix("_") in names | _ALWAYS}
    meta = dict(kept.get("meta", {}))
    tags = [tag for tag in meta.get("tag", ()) if tag.get("code") != SUBSETTED["code"]]
    return {**kept, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def _named(resource: Mapping[str, Any], names: frozenset[str]) -> frozenset[str]:
    """With the choices: `value` is the name of `valueQuantity` too."""
    choices = _table().get(str(resource.get("resourceType", "")), {}).get("choices", [])
    asked = [choice for choice in choices if choice in names]
    return names | {name for name in resource for choice in asked if name.removeprefix("_").startswith(choice)}


def _summary(kind: str) -> frozenset[str]:
    return frozenset(_table().get(kind, {}).get("summary", ()))


def _mandatory(kind: str) -> frozenset[str]:
    return frozenset(_table().get(kind, {}).get("mandatory", ()))


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = json.loads((files(__package__) / "summary.json").read_text("utf-8"))
    return found
