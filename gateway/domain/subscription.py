"""A subscription as its deliveries see it: its state, how far it has come, the events that wait (R4 Subscription).

What the subscriber has asked for (criteria, address, headers) stays sealed in the resource; here is only what sending
needs to know, and nothing of a patient but logical ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.domain.resource import Method

SubscriptionState = Literal["requested", "active", "error", "off"]


@dataclass(frozen=True)
class Subscriber:
    """One subscription. `numbered` is its last event's number, `sent` the last that the endpoint has acknowledged.

    `key` and `version` name the stored resource that it follows; `greeted`: the endpoint has answered a handshake.
    `endpoint` is a digest of the address: what shares it shares a queue. `attempt` fences off an earlier sender.
    """

    id: str
    key: int
    version: int
    state: SubscriptionState
    greeted: bool
    endpoint: bytes
    numbered: int
    sent: int
    failures: int
    attempt: int
    due_at: datetime
    lease_until: datetime | None
    heartbeat_at: datetime | None
    ends_at: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class Event:
    """A write that a subscription is to hear of. `number` is None until a sender has numbered it."""

    id: str
    subscription: str
    number: int | None
    at: datetime
    part: int
    method: Method
    type: str
    focus: str
    version: int
