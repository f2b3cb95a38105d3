"""Messages that were processed, so that one which comes again is not applied twice; a part of the vault."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from gateway.storage.columns import UtcTime, metadata, must

vault_message = Table(
    "vault_message",
    metadata,
    Column("client", Text),
    Column("message", LargeBinary),  # keyed hash of MessageHeader.id
    Column("bundle", LargeBinary),  # keyed hash of Bundle.identifier
    must(UtcTime, "at"),
    PrimaryKeyConstraint("client", "message"),
    UniqueConstraint("client", "bundle"),
)
Index("ix_vault_message_at", vault_message.c.at)
