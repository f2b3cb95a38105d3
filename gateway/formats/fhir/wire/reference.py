"""The text of Reference.reference: which form it has and which resource type it names (FHIR R4 2.3.0).

A literal that names a type must name a known one that the element allows; a fragment must find its contained resource
(`check` sees to that); a search as reference belongs into a transaction.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.formats.fhir.wire.definitions import resource_types

_ID: Final = r"[A-Za-z0-9\-.]{1,64}"
_LOCAL: Final = re.compile(rf"([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?", re.ASCII)
_REMOTE: Final = re.compile(rf"https?://\S+?/([A-Z][A-Za-z]+)/{_ID}(?:/_history/{_ID})?", re.ASCII)
_SEARCH: Final = re.compile(r"([A-Z][A-Za-z]+)\?\S+", re.ASCII)
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.\-]*:\S+", re.ASCII | re.IGNORECASE)
_UUID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def reference_fault(reference: Any, targets: frozenset[str], *, searches: bool) -> str | None:
    """What is wrong with a Reference's literal and type; `searches`: a search is a reference here."""
    literal, said = reference.get("reference"), reference.get("type")
    named = None
    if type(literal) is str and not literal.startswith("#"):
        named, fault = _named(literal, searches)
        if fault is not None:
            return fault
    if type(said) is str and "/" not in said and ":" not in said:
        if said not in resource_types():
            return "the reference names an unknown resource type"
        if named is not None and named != said:
            return "the reference and its type name different resource types"
        named = said
    if named is not None and targets and named not in targets:
        return "the reference names a resource type that this element does not allow"
    return None


def _named(literal: str, searches: bool) -> tuple[str | None, str | None]:
    """The type that a literal names and what is wrong with it."""
    local = _LOCAL.fullmatch(literal) or (_SEARCH.fullmatch(literal) if searches else None)
    if local is not None:
        known = local[1] in resource_types()
        return (local[1], None) if known else (None, "the reference names an unknown resource type")
    remote = _REMOTE.fullmatch(literal)
    if remote is not None:
        return (remote[1] if remote[1] in resource_types() else None), None
    if literal.lower().startswith("urn:uuid:") and not _UUID.fullmatch(literal):
        return None, "the reference is not a UUID"
    if not _ADDRESS.fullmatch(literal):
        return None, "the reference is neither Type/id nor an absolute address nor a fragment"
    return None, None
