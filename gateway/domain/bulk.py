"""A bulk job and its files: an export of many resources or an import of many lines (FHIR Bulk Data Access 2.0)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.domain.ids import BlobKey

BulkKind = Literal["export", "import"]
BulkState = Literal["accepted", "done", "failed", "cancelled", "expired"]
BulkRole = Literal["output", "error", "input"]


@dataclass(frozen=True)
class BulkJob:
    """`sealed` is what was asked. `step` counts what is done: resources of an export, lines of an import."""

    id: str
    kind: BulkKind
    client: str
    state: BulkState
    attempt: int
    step: int
    sealed: bytes = field(repr=False)
    created_at: datetime
    due_at: datetime
    lease_until: datetime | None
    expires_at: datetime
    error: str | None


@dataclass(frozen=True)
class BulkFile:
    """NDJSON, sealed in the blob store. `source` is which input an error file is about."""

    blob_key: BlobKey
    job: str
    part: int
    role: BulkRole
    type: str
    count: int
    source: str | None
