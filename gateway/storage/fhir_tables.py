"""Tables of the FHIR store (decision 9). All are part of the vault, and so closed to workers."""

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
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from gateway.domain.resource import Method
from gateway.storage.columns import UtcTime, metadata, must

vault_resource = Table(
    "vault_resource",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    must(Text, "type"),
    must(Text, "id"),
    must(Integer, "version"),  # the current one
    must(Text, "owner", ForeignKey("patient.pseudonym"), index=True),
    must(UtcTime, "updated_at"),
    must(Boolean, "ours", server_default=false()),  # written by the gateway; closed to clients
    UniqueConstraint("type", "id"),
    Index(None, "type", "updated_at"),
)

vault_resource_version = Table(
    "vault_resource_version",
    metadata,
    Column("key", BigInteger, ForeignKey("vault_resource.key"), autoincrement=False),
    Column("version", Integer, autoincrement=False),
    must(Text, "method"),
    must(UtcTime, "at", index=True),
    must(LargeBinary, "sealed"),
    PrimaryKeyConstraint("key", "version"),
    CheckConstraint(f"method IN {get_args(Method)}", name="method"),
)
