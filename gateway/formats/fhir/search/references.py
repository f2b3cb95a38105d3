"""References as a search sees them: type and id where they are ours, else an absolute URL (R4 3.1.1.4.12)."""

from __future__ import annotations

import re
from typing import Any

from gateway.formats.fhir.search.values import Reference

Base = str
"""This server's own address without a final slash; empty where none is known."""
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_LOCAL = re.compile(r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_LONGEST = 2048


def literal(text: str, base: Base) -> Reference | None:
    """A literal reference; None where it names something inside the resource or nothing at all."""
    if not text or text[0] == "#" or len(text) > _LONGEST:
        return None
    local = _LOCAL.fullmatch(text.removeprefix(f"{base}/") if base else text)
    if local is not None:
        return Reference(local[1], local[2])
    return Reference("", text.partition("/_history/")[0]) if ":" in text else None


def type_of(node: Any) -> str | None:
    """The type that a Reference element names, by its address or by its own word."""
    if not isinstance(node, dict):
        return None
    reference = node.get("reference")
    if isinstance(reference, str):
        match = re.search(_LOCAL.pattern + "$", reference, re.ASCII)
        if match is not None:
            return match[1]
    named = node.get("type")
    return named if isinstance(named, str) else None
