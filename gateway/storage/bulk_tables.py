"""Tables of bulk jobs and their files. Both are part of the vault: a worker has no business with them."""

from __future__ import annotations

from typing import Any, get_args

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Table, Text

from gateway.domain.bulk import BulkKind, BulkRole, BulkState
from gateway.storage.tables import UtcTime, metadata


def _must(kind: Any, name: str, *rest: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *rest, nullable=False, **options)


vault_bulk_job = Table(
    "vault_bulk_job",
    metadata,
    Column("id", Text, primary_key=True),
    _must(Text, "kind"),
    _must(Text, "client"),
    _must(Text, "state"),
    _must(Integer, "attempt"),
    _must(Integer, "step"),
    _must(LargeBinary, "sealed"),
    _must(UtcTime, "created_at"),
    _must(UtcTime, "due_at"),
    Column("lease_until", UtcTime),
    _must(UtcTime, "expires_at"),
    Column("error", Text),
    CheckConstraint(f"kind IN {get_args(BulkKind)}", name="kind"),
    CheckConstraint(f"state IN {get_args(BulkState)}", name="state"),
)

vault_bulk_file = Table(
    "vault_bulk_file",
    metadata,
    Column("blob_key", Text, primary_key=True),
    _must(Text, "job", ForeignKey("vault_bulk_job.id"), index=True),
    _must(Integer, "part"),
    _must(Text, "role"),
    _must(Text, "type"),
    _must(Integer, "count"),
    Column("source", Text),
    CheckConstraint(f"role IN {get_args(BulkRole)}", name="role"),
)
