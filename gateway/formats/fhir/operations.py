"""Where the operations that are served are defined, and the topics that can be subscribed to (Backport 2.4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.subscription.topics import BACKPORT, TOPICS

_R4: Final = "http://hl7.org/fhir/OperationDefinition"
_BACKPORT: Final = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition"
_BULK: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_ELSEWHERE: Final[Mapping[tuple[str, str], str]] = {
    ("Subscription", "status"): f"{_BACKPORT}/backport-subscription-status",
    ("Subscription", "events"): f"{_BACKPORT}/backport-subscription-events",
    ("Patient", "export"): f"{_BULK}/patient-export",
    ("Group", "export"): f"{_BULK}/group-export",
    ("", "export"): f"{_BULK}/export",
    ("", "import"): f"{_BULK}/import",
    ("", "process-message"): f"{_R4}/MessageHeader-process-message",
}


def definition(kind: str, name: str) -> str:
    """Canonical address of an operation; `kind` is empty for one of the whole system."""
    level = "Patient" if name == "everything" else "Resource"
    return _ELSEWHERE.get((kind, name), f"{_R4}/{level}-{name}")


def topics(base: str) -> list[Resource]:
    """The extensions of the row of Subscription, one for each topic."""
    url = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    return [{"url": url, "valueCanonical": topic.canonical(base)} for topic in TOPICS]
