"""Which rule holds for each field and component of HL7 v2: two data files compiled into one look-up.

By data type, not by a list of fields (PID-5 is a name because it is an XPN): a field that somebody uses for the
first time is treated like its type, and what has no type is dropped. HL7 v2 chapters 2A and 3 to 17.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

Rule = str | list[str]
_UNUSED: Final = frozenset({"-", "WD", "wd", "varies"})
_ASSUMED: Final = "2.5.1"  # of a message that does not say its version


@dataclass(frozen=True)
class Hl7Rules:
    """Rules and types of one version of the standard."""

    edition: str
    segments: frozenset[str]
    fields: Mapping[str, str]
    values: Mapping[str, str]
    types: Mapping[str, Rule]
    field_types: Mapping[str, list[str]]
    component_types: Mapping[str, list[str]]

    def of_field(self, segment: str, number: int) -> str:
        """The verb or type of a field; `drop` where the table has none."""
        named = self.fields.get(f"{segment}-{number}")
        if named is not None:
            return named
        row = self.field_types.get(segment, [])
        return row[number - 1] if number <= len(row) else "drop"

    def of_type(self, name: str) -> Rule:
        """What is done with a type: its own rule, else its components by theirs, else `drop`."""
        return self.types.get(name) or self.component_types.get(name) or "drop"


@cache
def rules_for(version: str) -> Hl7Rules:
    """The rules for a version; of an unknown one those of the next older, of none those of 2.5.1."""
    verbs, tables = _verbs(), _tables()
    ladder = sorted({one for rows in tables["fields"].values() for ones in rows.values() for one in ones}, key=_number)
    wanted = _number(version or _ASSUMED)
    chosen = [one for one in ladder if _number(one) <= wanted] or ladder[:1]
    return Hl7Rules(
        edition=verbs["edition"],
        segments=frozenset(verbs["segments"]["keep"]),
        fields=verbs["fields"],
        values=verbs["values"],
        types=verbs["types"],
        field_types={name: _row(rows, chosen) for name, rows in tables["fields"].items()},
        component_types={name: _row(rows, chosen) for name, rows in tables["components"].items()},
    )


def _number(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:3]
    return tuple(int(part) if part.isdecimal() and len(part) < 4 else 0 for part in parts)


def _row(rows: Mapping[str, list[str]], versions: list[str]) -> list[str]:
    """The types in the newest of `versions`; a withdrawn place keeps the type that it had before."""
    by_version = {version: row.split() for row, ones in rows.items() for version in ones}
    made: list[str] = []
    for version in versions:
        for place, name in enumerate(by_version.get(version, ())):
            if place == len(made):
                made.append(name)
            elif name not in _UNUSED:
                made[place] = name
    return made


@cache
def _tables() -> dict[str, dict[str, dict[str, list[str]]]]:
    loaded: dict[str, dict[str, dict[str, list[str]]]] = json.loads(_data("hl7_types.json"))
    return loaded


@cache
def _verbs() -> dict[str, Any]:
    return tomllib.loads(_data("hl7_verbs.toml"))


def _data(name: str) -> str:
    return files("gateway.privacy").joinpath("data", name).read_text("utf-8")
