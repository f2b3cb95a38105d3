"""What an EHR's CapabilityStatement says it can do, and which strategies follow from it (FHIR R4 2.43).

Asked, never assumed by vendor: a third of one vendor's customers differ from its usual statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.formats.fhir.element import Resource

_MOST: Final = 1000  # types, interactions, parameters that are read of one list


@dataclass(frozen=True)
class Kind:
    """One resource type: interactions and search parameters by name."""

    interactions: frozenset[str]
    searches: frozenset[str]


@dataclass(frozen=True)
class PeerCapability:
    kinds: Mapping[str, Kind]
    system: frozenset[str]

    def can(self, kind: str, interaction: str) -> bool:
        return kind in self.kinds and interaction in self.kinds[kind].interactions

    def searches(self, kind: str, parameter: str) -> bool:
        return self.can(kind, "search-type") and parameter in self.kinds[kind].searches

    def strategies(self) -> tuple[str, ...]:
        """From the one that carries most to the one that carries least; `pull` where the EHR takes nothing of ours."""
        return tuple(self._strategies()) or ("pull",)

    def _strategies(self) -> Iterator[str]:
        creates, updates = (self.can("DiagnosticReport", name) for name in ("create", "update"))
        if "transaction" in self.system and (creates or updates):
            yield "transaction"
        if creates:
            yield "dr-create"
        if updates and self.can("DiagnosticReport", "search-type"):
            yield "dr-update-by-order"
        if self.can("DocumentReference", "create"):
            yield "docref-pdf"


def peer_capability(statement: Resource) -> PeerCapability | None:
    """None where it is not the CapabilityStatement of a server."""
    if statement.get("resourceType") != "CapabilityStatement":
        return None
    server = next((each for each in _dicts(statement.get("rest")) if each.get("mode") == "server"), None)
    if server is None:
        return None
    kinds = {
        str(each.get("type")): Kind(_codes(each.get("interaction"), "code"), _codes(each.get("searchParam"), "name"))
        for each in _dicts(server.get("resource"))
    }
    return PeerCapability(kinds, _codes(server.get("interaction"), "code"))


def _codes(value: Any, member: str) -> frozenset[str]:
    return frozenset(str(each.get(member)) for each in _dicts(value))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value[:_MOST] if isinstance(each, dict)] if isinstance(value, list) else []
