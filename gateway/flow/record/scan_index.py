"""The ResourceIndex port by opening every resource of a type: for what little is asked before there is a real index.

Replaced by the search index; knows `_id` and `identifier` and looks at the newest resources only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.domain.errors import Invalid
from gateway.domain.resource import Change
from gateway.flow.record.open import OpenResources
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

_LOOKED_AT: Final = 2000


@dataclass(frozen=True)
class ScanIndex:
    unit: UnitOfWork
    opened: OpenResources

    def put(self, changes: Sequence[Change]) -> None:
        """Nothing to keep: what is asked is read anew."""

    def matching(self, kind: str, criteria: Sequence[tuple[str, str]], limit: int) -> list[int]:
        if any(name not in ("_id", "identifier") for name, _ in criteria):
            raise Invalid("a condition goes by _id or identifier")
        names = dict.fromkeys(one.name for one in self.unit.resources.history(kind=kind, limit=_LOOKED_AT))
        found = self.unit.resources.named(list(names))
        living = sorted((one for one in found.values() if not one.is_deleted), key=lambda one: -one.key)
        return [one.key for one in living if _matches(parse_json(self.opened.unseen(self.unit, one)), criteria)][:limit]


def _matches(resource: dict[str, Any], criteria: Sequence[tuple[str, str]]) -> bool:
    for name, value in criteria:
        if name == "_id":
            if resource["id"] != value:
                return False
            continue
        system, bar, wanted = value.rpartition("|")
        own = resource.get("identifier", [])
        told = [(one.get("system", ""), one.get("value")) for one in (own if isinstance(own, list) else [own])]
        if not any(number == wanted and (not bar or named == system) for named, number in told):
            return False
    return True
