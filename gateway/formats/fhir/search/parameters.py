"""The search parameters of each type, as the standard defines them (R4 3.1.1, search parameter registry).

The table beside this file is made from the official definitions by deploy/tools/search_parameters.py; what of it
must never stand in clear in an index is decided here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

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
    def data(self) -> frozenset[str]:
        return frozenset(place.data for place in self.places)


def number(name: str) -> int:
    """A fixed 32-bit number of a parameter's full name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big", signed=True)


def parameters(kind: str) -> Mapping[str, Parameter]:
    """All parameters of a type by code; empty for a type that is not served."""
    return _table().get(kind, {})


def types() -> tuple[str, ...]:
    """The types that have parameters."""
    return tuple(_table())


@cache
def _table() -> dict[str, dict[str, Parameter]]:
    raw = json.loads((files(__package__) / "parameters.json").read_text("utf-8"))
    return {kind: {row.code: row for row in _rows(kind, rows)} for kind, rows in raw.items()}


def _rows(kind: str, rows: Mapping[str, Any]) -> Iterator[Parameter]:
    for code, row in rows.items():
        places = _places(row.get("paths", ()))
        narrowed = {place.condition[3:] for place in places if place.condition and place.condition.startswith("is ")}
        yield Parameter(
            on=kind,
            code=code,
            kind=row["type"],
            url=row["url"],
            expression=row["expression"],
            places=places,
            targets=tuple(sorted(narrowed)) or tuple(row.get("targets", ())),
            of=tuple(_path(each) for each in row["of"].split("|")) if "of" in row else (),
            parts=tuple(Part(searched, _places(found)) for searched, found in row.get("parts", ())),
        )


def _places(rows: Any) -> tuple[Place, ...]:
    return tuple(Place(_path(path), data, condition) for path, data, condition in rows)


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()
