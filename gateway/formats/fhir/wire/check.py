"""Findings about one resource: the least that the store needs to be able to keep it."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.formats.fhir.wire.issue import Issue
from gateway.formats.fhir.wire.supported import SUPPORTED

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def check(resource: dict[str, Any], kind: str | None = None) -> list[Issue]:
    """`kind` is the type that the resource must have."""
    own = resource.get("resourceType")
    if own not in SUPPORTED:
        return [Issue("error", "structure", "", "resourceType is missing or names no type that is served")]
    if kind is not None and own != kind:
        return [Issue("error", "invalid", "", f"the resource is no {kind}")]
    own_id = resource.get("id")
    if own_id is not None and not (isinstance(own_id, str) and _ID.fullmatch(own_id)):
        return [Issue("error", "value", f"{own}.id", "an id has 1 to 64 letters, digits, - and .")]
    return []
