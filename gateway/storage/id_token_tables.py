"""The RSA key by which ID tokens are signed, sealed under a key of the ring (OpenID Connect Core 2)."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table, Text

from gateway.storage.columns import UtcTime, metadata, must

vault_id_token_key = Table(
    "vault_id_token_key",
    metadata,
    Column("id", Text, primary_key=True),  # of the key of the ring under which it is sealed
    must(LargeBinary, "sealed"),
    must(UtcTime, "created_at"),
)
