"""The topics that can be subscribed to, and the canonical addresses of the backport guide (Backport 1.1.0, 2.4).

R4 has no SubscriptionTopic: a topic is a canonical address in `criteria`, told of in the CapabilityStatement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Interaction = Literal["create", "update", "delete"]
BACKPORT: Final = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
PROFILE: Final = f"{BACKPORT}/backport-subscription"
_CANONICAL: Final = re.compile(
    r"(?:https?://|urn:)[^?#\s]{1,400}/SubscriptionTopic/([a-z][a-z-]{1,60})(?:\|[\w.-]{1,32})?"
)
ALL: Final[frozenset[Interaction]] = frozenset({"create", "update", "delete"})
WRITTEN: Final[frozenset[Interaction]] = frozenset({"create", "update"})


@dataclass(frozen=True)
class Topic:
    """Which writes to which type are told of.

    With `becomes`, a search, only those after which the resource fits it and before which it did not, as R5 has it in
    SubscriptionTopic.resourceTrigger.queryCriteria (test-passes for what is new).
    """

    name: str
    kind: str
    interactions: frozenset[Interaction]
    documentation: str
    becomes: str = ""

    def canonical(self, base: str) -> str:
        """Under this server's own address."""
        return f"{base}/SubscriptionTopic/{self.name}"


TOPICS: Final = (
    Topic("report-changed", "DiagnosticReport", ALL, "A report was made, or has a new version, or is deleted."),
    Topic("study-received", "ImagingStudy", frozenset({"create"}), "An imaging study has come into the record."),
    Topic("order-changed", "ServiceRequest", ALL, "An order was placed, or has a new version, or is deleted."),
    Topic("encounter-changed", "Encounter", ALL, "An encounter was made, or has a new version, or is deleted."),
    Topic("encounter-start", "Encounter", WRITTEN, "An encounter is in progress now.", "status=in-progress"),
    Topic("encounter-complete", "Encounter", WRITTEN, "An encounter is finished now.", "status=finished"),
    Topic("appointment-changed", "Appointment", ALL, "An appointment was made, or changed, or is deleted."),
    Topic("appointment-booked", "Appointment", WRITTEN, "An appointment is booked now.", "status=booked"),
)


def topic_of(canonical: str) -> Topic | None:
    """Ours of that name, whatever address the server had when it was subscribed to."""
    match = _CANONICAL.fullmatch(canonical)
    return next((topic for topic in TOPICS if match is not None and topic.name == match[1]), None)


def is_canonical(criteria: str) -> bool:
    """Whether it names a topic rather than a search."""
    return "?" not in criteria and criteria.startswith(("http://", "https://", "urn:"))
