"""Tables of subscriptions and the events that wait for them: the durable outbox of notifications.

No row holds patient data but the logical id of a resource; no column refers to the resources by foreign key, because
erasing a patient must never be held up by what was to be told of him.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from gateway.domain.subscription import SubscriptionState
from gateway.storage.columns import UtcTime, metadata, must

vault_subscription = Table(
    "vault_subscription",
    metadata,
    Column("id", Text, primary_key=True),
    must(BigInteger, "key"),
    must(Integer, "version"),
    must(Text, "state"),
    must(Boolean, "greeted"),
    must(LargeBinary, "endpoint"),
    must(BigInteger, "numbered"),
    must(BigInteger, "sent"),
    must(Integer, "failures"),
    must(Integer, "attempt"),
    must(UtcTime, "due_at"),
    Column("lease_until", UtcTime),
    Column("heartbeat_at", UtcTime),
    Column("ends_at", UtcTime),
    Column("last_error", Text),
    CheckConstraint(f"state IN {get_args(SubscriptionState)}", name="state"),
)

vault_subscription_event = Table(
    "vault_subscription_event",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "subscription", ForeignKey("vault_subscription.id")),
    Column("number", BigInteger),  # given by the sender, so that writers never wait for each other over it
    must(UtcTime, "at"),
    must(Integer, "part"),  # place among the changes of one transaction
    must(Text, "method"),
    must(Text, "type"),
    must(Text, "focus"),
    must(Integer, "version"),
    UniqueConstraint("subscription", "number"),
    Index(None, "subscription", "at"),
)
