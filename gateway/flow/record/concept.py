"""How a CodeableConcept is read (R4 2.24.0.12): its codes, and the words by which it may be known.

Every reader of a record asks here, so that a bound or a shape that is no concept is dealt with once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LOINC: Final = "http://loinc.org"
MOST_CODINGS: Final = 64


def dicts(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing of what is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def codes(concept: Any, before: str = "") -> frozenset[tuple[str, str]]:
    """(system, code) of each coding; `before` is put before the system."""
    return frozenset((before + str(one.get("system", "")), str(one.get("code", ""))) for one in _codings(concept))


def loinc_codes(concept: Any) -> set[str]:
    return {code for system, code in codes(concept) if system == LOINC}


def written(concept: Any) -> list[str]:
    """Text, displays and codes as they were written: the case of an allele's letters may matter."""
    text = concept.get("text") if isinstance(concept, Mapping) else None
    said = [text, *(one.get(key) for one in _codings(concept) for key in ("display", "code"))]
    return [str(each).strip() for each in said if each]


def words(concept: Any) -> tuple[str, ...]:
    """The same in lower case, with single blanks."""
    return tuple(" ".join(each.lower().split()) for each in written(concept))


def _codings(concept: Any) -> list[Mapping[str, Any]]:
    return dicts(concept.get("coding"))[:MOST_CODINGS] if isinstance(concept, Mapping) else []
