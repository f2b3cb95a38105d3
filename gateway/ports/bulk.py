"""Jobs that take long: bulk export and import, and requests that are answered later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from gateway.domain.bulk import BulkFile, BulkJob, BulkKind


class BulkJobs(Protocol):
    """Jobs, their files and answers; every change of an open job is guarded by its attempt."""

    def add(self, job: BulkJob) -> None: ...

    def get(self, job_id: str) -> BulkJob | None: ...

    def count_open(self, client: str) -> int: ...

    def due(self, now: datetime, limit: int, kinds: Sequence[BulkKind]) -> list[BulkJob]:
        """Open jobs of these kinds that nobody holds, the oldest first."""
        ...

    def claim(self, job: BulkJob, lease_until: datetime) -> BulkJob | None: ...

    def progress(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        """False where the job is not open any more or another holds it."""
        ...

    def proceed(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        """The same, and False as well where what it was begun with was taken back."""
        ...

    def end(self, job_id: str, state: str) -> bool:
        """Cancelled or expired, whoever holds it."""
        ...

    def past(self, now: datetime, limit: int) -> list[BulkJob]:
        """Jobs whose files are to go."""
        ...

    def remove(self, job_id: str) -> None:
        """With the rows of its files."""
        ...

    def files(self, job_id: str) -> list[BulkFile]: ...

    def add_file(self, file: BulkFile) -> None: ...

    def drop_file(self, file: BulkFile) -> None: ...

    def answers(self, job_id: str) -> Mapping[int, bytes]:
        """What became of the entries of a Bundle so far, by their place; sealed."""
        ...

    def add_answers(self, job_id: str, sealed: Mapping[int, bytes]) -> None: ...


class BulkSource(Protocol):
    """Where lines to import come from."""

    def fetch(self, url: str) -> bytes:
        """Forbidden for a host that is not allowed, Invalid for too much, Unavailable where it does not answer."""
        ...
