"""A FHIR message that was processed: enough to know it again, nothing of what it said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

RELIABLE: Final = timedelta(days=30)
"""How long a message is known again (R4 messaging, CapabilityStatement.messaging.reliableCache)."""


@dataclass(frozen=True)
class ReceivedMessage:
    """`message` and `bundle` are keyed hashes of MessageHeader.id and Bundle.identifier, which need not be there."""

    client: str
    message: bytes = field(repr=False)
    bundle: bytes | None = field(repr=False)
    at: datetime
