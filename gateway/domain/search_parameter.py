"""A FHIR search parameter: what it searches, where a resource says it, and what of it must not stand in clear.

R4 3.1.1 and the registry of search parameters; the parameters themselves are data (formats/fhir/search).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Kind = Literal["token", "reference", "date", "string", "number", "quantity", "uri", "composite"]

# Strings about things and not about people: they may be indexed in clear, so that parts of them can be found
_CLEAR_STRINGS = frozenset(
    {
        *(f"Questionnaire.{code}" for code in ("description", "name", "publisher", "title")),
        *(f"Device.{code}" for code in ("device-name", "manufacturer", "model")),
        "Endpoint.name",
        "Immunization.series",
        "Location.name",
        "Organization.name",
    }
)
_HIDDEN_DATES = frozenset({"Patient.birthdate", "Patient.death-date", "RelatedPerson.birthdate"})


@dataclass(frozen=True)
class Place:
    """Where a parameter finds its values: JSON path, data type there, condition or implied code system."""

    path: tuple[str, ...]
    data: str
    condition: str | None = None


@dataclass(frozen=True)
class Part:
    """One component of a composite; places that begin with % start at the resource."""

    kind: Kind
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class Parameter:
    """One search parameter of one type. Compared by identity: the table has each once."""

    on: str
    code: str
    kind: Kind
    url: str
    expression: str
    places: tuple[Place, ...] = ()
    targets: tuple[str, ...] = ()
    of: tuple[tuple[str, ...], ...] = ()
    parts: tuple[Part, ...] = ()

    @cached_property
    def name(self) -> str:
        return f"{self.on}.{self.code}"

    @cached_property
    def number(self) -> int:
        """By what index rows name it. Wire law: rows are stored under it."""
        return number(self.name)

    @cached_property
    def is_hidden(self) -> bool:
        """Whether its values may be identity and so are indexed as keyed hashes alone."""
        if self.kind == "date":
            return self.name in _HIDDEN_DATES
        return self.kind == "string" and self.name not in _CLEAR_STRINGS

    @cached_property
    def is_phonetic(self) -> bool:
        return self.code == "phonetic"

    @cached_property
    def is_followed(self) -> bool:
        """Whether it is a reference that leads to a resource by type and id; by a canonical URL nothing is followed."""
        return self.kind == "reference" and self.data != {"canonical"}

    @cached_property
    def data(self) -> frozenset[str]:
        return frozenset(place.data for place in self.places)


def number(name: str) -> int:
    """A fixed 32-bit number of a parameter's full name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big", signed=True)
