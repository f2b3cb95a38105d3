"""Tables of bulk jobs, their files and answers. They are part of the vault: a worker has no business with them."""

from __future__ import annotations

from typing import get_args

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Table, Text

from gateway.domain.bulk import BulkKind, BulkRole, BulkState
from gateway.storage.columns import UtcTime, metadata, must

vault_bulk_job = Table(
    "vault_bulk_job",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "kind"),
    must(Text, "client"),
    must(Text, "state"),
    must(Integer, "attempt"),
    must(Integer, "step"),
    must(LargeBinary, "sealed"),
    must(UtcTime, "created_at"),
    must(UtcTime, "due_at"),
    Column("lease_until", UtcTime),
    must(UtcTime, "expires_at"),
    Column("error", Text),
    Column("grant_hash", LargeBinary),
    Column("chain", Text),
    Column("revoked_at", UtcTime),
    must(Integer, "failures"),
    CheckConstraint(f"kind IN {get_args(BulkKind)}", name="kind"),
    CheckConstraint(f"state IN {get_args(BulkState)}", name="state"),
)

vault_bulk_file = Table(
    "vault_bulk_file",
    metadata,
    Column("blob_key", Text, primary_key=True),
    must(Text, "job", ForeignKey("vault_bulk_job.id"), index=True),
    must(Integer, "part"),
    must(Text, "role"),
    must(Text, "type"),
    must(Integer, "count"),
    Column("source", Text),
    CheckConstraint(f"role IN {get_args(BulkRole)}", name="role"),
)

vault_bulk_answer = Table(
    "vault_bulk_answer",
    metadata,
    Column("job", Text, ForeignKey("vault_bulk_job.id"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    must(LargeBinary, "sealed"),
)
"""What became of one writing entry of a Bundle that is carried out later: a row of the transaction that wrote it."""
