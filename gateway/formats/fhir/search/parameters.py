"""The search parameters of each type, as the standard defines them (R4 3.1.1, search parameter registry).

The table beside this file is made from the official definitions by deploy/tools/search_parameters.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from gateway.domain.criterion import EVERY_TYPE
from gateway.domain.search_parameter import Parameter, Part, Place


def parameters(kind: str) -> Mapping[str, Parameter]:
    """All parameters of a type by code; empty for a type that is not served. Of all types together two."""
    return _of_every_type() if kind == EVERY_TYPE else _table().get(kind, {})


def types() -> tuple[str, ...]:
    """The types that have parameters."""
    return tuple(_table())


def fingerprint(base: str) -> str:
    """Another one where resources would be indexed otherwise: by other parameters, or under another address."""
    table = (files(__package__) / "parameters.json").read_bytes()
    return hashlib.sha256(hashlib.sha256(table).digest() + base.encode()).hexdigest()


@cache
def _of_every_type() -> dict[str, Parameter]:
    """Those that are columns of a resource's own row; the values of others are indexed type by type."""
    known = _table()["Basic"]
    return {code: replace(known[code], on=EVERY_TYPE) for code in ("_id", "_lastUpdated")}


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
