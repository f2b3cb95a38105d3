"""What the CapabilityStatement says of subscriptions: channel, topics, operations (R4 5.2; Backport 1.1.0, 2.4.3)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.subscription.topics import BACKPORT, PROFILE, TOPICS

_DEFINITIONS = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition"


def by_operations(base: str) -> Iterator[Resource]:
    """The rows of types that are served for what they do rather than for being searched."""
    canonical = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
    topics = "; ".join(f"{topic.name}: {topic.documentation}" for topic in TOPICS)
    yield {
        "extension": [{"url": canonical, "valueCanonical": topic.canonical(base)} for topic in TOPICS],
        "type": "Subscription",
        "supportedProfile": [PROFILE],
        "documentation": f"rest-hook, by criteria of any searched type or by topic. {topics}",
        "interaction": [{"code": code} for code in ("read", "vread", "update", "delete", "history-instance", "create")],
        "versioning": "versioned-update",
        "operation": [
            {"name": "status", "definition": f"{_DEFINITIONS}/backport-subscription-status"},
            {"name": "events", "definition": f"{_DEFINITIONS}/backport-subscription-events"},
        ],
    }
