"""Tables of the FHIR store (decision 9). All are part of the vault, and so closed to workers."""

from __future__ import annotations

from typing import Any, get_args

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
from gateway.storage.tables import UtcTime, metadata


def _must(kind: Any, name: str, *rest: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *rest, nullable=False, **options)


vault_resource = Table(
    "vault_resource",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    _must(Text, "type"),
    _must(Text, "id"),
    _must(Integer, "version"),  # the current one
    _must(Text, "owner", ForeignKey("patient.pseudonym"), index=True),
    _must(UtcTime, "updated_at"),
    _must(Boolean, "ours", server_default=false()),  # written by the gateway; closed to clients
    UniqueConstraint("type", "id"),
    Index(None, "type", "updated_at"),
)

vault_resource_version = Table(
    "vault_resource_version",
    metadata,
    Column("key", BigInteger, ForeignKey("vault_resource.key"), autoincrement=False),
    Column("version", Integer, autoincrement=False),
    _must(Text, "method"),
    _must(UtcTime, "at", index=True),
    _must(LargeBinary, "sealed"),
    PrimaryKeyConstraint("key", "version"),
    CheckConstraint(f"method IN {get_args(Method)}", name="method"),
)
