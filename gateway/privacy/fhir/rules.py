"""The allow-list of FHIR elements, read from its data file: which resource, backbone element and type keeps what.

An element that is not in the table is dropped, a resource type that is not in it is refused: what nobody has looked
at does not pass.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class ElementRule(NamedTuple):
    """A verb or the name of a table; `required` elements say why they are empty."""

    name: str
    required: bool


@dataclass(frozen=True)
class FhirRules:
    """`tables` holds resource types, backbone elements and data types alike."""

    edition: str
    resources: frozenset[str]
    tables: Mapping[str, Mapping[str, ElementRule]]
    choices: Mapping[str, str]
    extensions: frozenset[str]
    shared_systems: tuple[str, ...]

    def is_shared(self, system: str) -> bool:
        """Whether a coding system is nobody's own; a host name does not end inside another one."""
        return any(
            system == one or (one[-1] in "/.:" and system.startswith(one)) or system.startswith(one + "/")
            for one in self.shared_systems
        )


@cache
def fhir_rules() -> FhirRules:
    """The table as shipped."""
    loaded = tomllib.loads(files("gateway.privacy").joinpath("data/fhir_rules.toml").read_text("utf-8"))
    tables = {**loaded["types"], **loaded["resources"]}
    return FhirRules(
        edition=loaded["edition"],
        resources=frozenset(name for name in loaded["resources"] if "." not in name),
        tables={name: {element: _rule(verb) for element, verb in table.items()} for name, table in tables.items()},
        choices=loaded["choices"],
        extensions=frozenset(loaded["extensions"]["allowed"]),
        shared_systems=tuple(loaded["systems"]["shared"]),
    )


def _rule(verb: str) -> ElementRule:
    return ElementRule(verb.removesuffix("!"), verb.endswith("!"))
