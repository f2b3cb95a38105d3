"""How far the search index has been written anew; a part of the vault, closed to workers."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from gateway.storage.columns import UtcTime, metadata, must

vault_reindex = Table(
    "vault_reindex",
    metadata,
    Column("id", Text, primary_key=True),
    must(UtcTime, "begun_at"),
    must(BigInteger, "until"),  # the newest resource when it was begun: later ones are indexed by who writes them
    must(BigInteger, "after"),  # the resource that was done last
    must(Integer, "done"),
    must(Integer, "failed"),
    Column("ended_at", UtcTime),
    must(Text, "fingerprint"),  # of what decides which rows there are
)
Index("ix_vault_reindex_begun_at", vault_reindex.c.begun_at)
