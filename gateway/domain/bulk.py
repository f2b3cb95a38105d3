"""A job and its files: an export of many resources, an import of many lines (FHIR Bulk Data Access 2.0), or a request
that is answered later (R4 3.1.0.7, asynchronous request pattern)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.domain.ids import BlobKey

BulkKind = Literal["export", "import", "request"]
BulkState = Literal["accepted", "done", "failed", "cancelled", "expired"]
BulkRole = Literal["output", "error", "input"]


@dataclass(frozen=True)
class BulkJob:
    """`sealed` is what was asked. `step` counts what is done: resources, lines, or entries of a Bundle.

    `grant_hash` and `chain` are of the token with which it was begun, `revoked_at` when that, or all that the client
    held, was taken back. `failures` counts attempts that failed since something was done.
    """

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
    grant_hash: bytes | None = field(default=None, repr=False)
    chain: str | None = None
    revoked_at: datetime | None = None
    failures: int = 0


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
