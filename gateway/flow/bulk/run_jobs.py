"""run jobs: the sweeper's chore that carries out bulk jobs, one at a time, and clears away what is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from gateway.domain.bulk import BulkJob, BulkKind
from gateway.domain.errors import Category, GatewayError
from gateway.flow.bulk.export import RunExport
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.import_lines import RunImport
from gateway.flow.bulk.lease import LEASE, JobEnded
from gateway.ports import Database

ACTOR: Final = "bulk"
_ATTEMPTS: Final = 5
_CLAIMS: Final = 20
"""A job that has been held so often without an end, as by processes that died of it, is not tried again."""
_PAUSE: Final = timedelta(seconds=10)
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT, Category.CONFLICT})


@dataclass(frozen=True)
class RunJobs:
    """Jobs of `kinds`, one after the other. `request` answers what is answered later; `keep` is how long files stay."""

    database: Database
    export: RunExport
    lines: RunImport
    request: Callable[[BulkJob, datetime], int]
    keep: timedelta
    kinds: Sequence[BulkKind] = get_args(BulkKind)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self) -> int:
        """How many jobs were held."""
        with self.database.read() as unit:
            due = unit.bulk_jobs.due(self.now(), 1, self.kinds)
        for waiting in due:
            with self.database.begin(ACTOR) as unit:
                job = unit.bulk_jobs.claim(waiting, self.now() + LEASE)
                unit.commit()
            if job is not None and job.attempt > _CLAIMS:
                self._failed(job, Category.FAULT, f"given up after {_CLAIMS} attempts that were cut off")
            elif job is not None:
                self._run(job)
        return len(due)

    def _run(self, job: BulkJob) -> None:
        try:
            runs: dict[BulkKind, Callable[[BulkJob, datetime], int]]
            runs = {"export": self.export, "import": self.lines, "request": self.request}
            self._end(job, runs[job.kind](job, self.now()))
        except GatewayError as error:
            self._failed(job, error.category, f"{error.category.value}: {error}")
        except Exception as error:
            self._failed(job, Category.FAULT, f"fault: {type(error).__name__}")
            raise

    def _end(self, job: BulkJob, count: int) -> None:
        with self.database.begin(ACTOR) as unit:
            done = {"state": "done", "lease_until": None, "error": None, "expires_at": self.now() + self.keep}
            if not unit.bulk_jobs.progress(job, done):
                raise JobEnded
            unit.audit.record("bulk:end", job.id, f"client:{job.client}", kind=job.kind, count=count)
            unit.commit()

    def _failed(self, job: BulkJob, category: Category, reason: str) -> None:
        """Tried again a few times where that may help; then the client hears why."""
        again = category in _AGAIN and job.attempt < _ATTEMPTS
        changes = {"lease_until": None, "error": reason[:500], "due_at": self.now() + _PAUSE}
        if not again:
            changes |= {"state": "failed", "expires_at": self.now() + self.keep}
        with self.database.begin(ACTOR) as unit:
            if unit.bulk_jobs.progress(job, changes) and not again:
                unit.audit.record("bulk:fail", job.id, f"client:{job.client}", kind=job.kind, reason=category.value)
            unit.commit()


@dataclass(frozen=True)
class ClearJobs:
    """Deletes files, then rows, of jobs that were cancelled or whose time is over; a chore of the sweeper."""

    database: Database
    files: BulkFiles
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, limit: int = 20) -> int:
        with self.database.read() as unit:
            past = unit.bulk_jobs.past(self.now(), limit)
            files = [file for job in past for file in unit.bulk_jobs.files(job.id)]
        for file in files:
            self.files.delete(file)
        for job in past:
            with self.database.begin(ACTOR) as unit:
                unit.bulk_jobs.remove(job.id)
                unit.commit()
        return len(past)
