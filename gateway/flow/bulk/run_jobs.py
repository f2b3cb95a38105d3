"""run jobs: the sweeper's chore that carries out jobs, one at a time, and clears away what is over.

A job that fails is tried again after growing pauses; one whose grant was taken back ends there, with what was done
until then. Whoever asked hears the truth of it in the manifest: what is stored, and why the rest is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, get_args

from gateway.domain.bulk import BulkFile, BulkJob, BulkKind
from gateway.domain.errors import Category, Fault, GatewayError, Unavailable
from gateway.flow.bulk.export import RunExport
from gateway.flow.bulk.files import BulkFiles
from gateway.flow.bulk.import_lines import RunImport
from gateway.flow.bulk.lease import LEASE, GrantEnded, JobEnded
from gateway.flow.opening_quota import TooManyOpenings
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.outcome import OUTCOMES, issue
from gateway.ports import Database

ACTOR: Final = "bulk"
ATTEMPTS: Final = 5
"""A job that fails so often in a row, with nothing done in between, is not tried again."""
_CLAIMS: Final = 20
"""Nor is one that has been held so often without an end, as by processes that died of it."""
_PAUSE: Final = timedelta(seconds=10)
_GROWTH: Final = 3
_LAST_PART: Final = (1 << 31) - 1
_AGAIN: Final = frozenset({Category.UNAVAILABLE, Category.BUSY, Category.FAULT, Category.CONFLICT})


class Requests(Protocol):
    """Carries out what is answered later (servers/web/fhir/run_request.py)."""

    def __call__(self, job: BulkJob, now: datetime) -> int: ...

    def cut_short(self, job: BulkJob, error: GatewayError) -> bool:
        """Files the answer of a job that goes no further, as far as something of it is stored; else False."""
        ...


@dataclass(frozen=True)
class RunJobs:
    """Jobs of `kinds`, one after the other. `request` answers what is answered later; `keep` is how long files stay."""

    database: Database
    export: RunExport
    lines: RunImport
    request: Requests
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
            if job is not None:
                with suppress(JobEnded):  # cancelled, expired, or another's by now
                    self._carried_out(job)
        return len(due)

    def _carried_out(self, job: BulkJob) -> None:
        if job.attempt > _CLAIMS:
            self._given_up(job, Fault(f"given up after {_CLAIMS} attempts"), "cut-off")
        else:
            self._run(job)

    def _run(self, job: BulkJob) -> None:
        try:
            runs: dict[BulkKind, Callable[[BulkJob, datetime], int]]
            runs = {"export": self.export, "import": self.lines, "request": self.request}
            self._end(job, runs[job.kind](job, self.now()))
        except JobEnded:
            raise
        except GrantEnded as error:
            self._cut_short(job, error, "grant")
        except GatewayError as error:
            self._failed(job, error)
        except Exception as error:
            self._failed(job, Fault(type(error).__name__))
            raise

    def _end(self, job: BulkJob, count: int) -> None:
        with self.database.begin(ACTOR) as unit:
            done = {"state": "done", "lease_until": None, "error": None, "expires_at": self.now() + self.keep}
            if not unit.bulk_jobs.progress(job, done):
                raise JobEnded
            unit.audit.record("bulk:end", job.id, f"client:{job.client}", kind=job.kind, count=count)
            unit.commit()

    def _failed(self, job: BulkJob, error: GatewayError) -> None:
        """Tried again a few times where that may help; then the client hears why."""
        with self.database.begin(ACTOR) as unit:
            now = unit.bulk_jobs.get(job.id)
            failures = 1 if now is None else now.failures + 1
            if error.category in _AGAIN and failures < ATTEMPTS:
                due = self.now() + pause_after(failures, error)
                told = {"lease_until": None, "error": _reason(error), "due_at": due, "failures": failures}
                unit.bulk_jobs.progress(job, told)
                unit.commit()
                return
        self._given_up(job, error, error.category.value)

    def _given_up(self, job: BulkJob, error: GatewayError, reason: str) -> None:
        """Failed as a whole where nothing of it is stored; else the manifest says what is, and what is not."""
        if self._is_stored(job, error):
            self._told(job, error, reason)
            return
        self._fail(job, error, reason)

    def _fail(self, job: BulkJob, error: GatewayError, reason: str) -> None:
        with self.database.begin(ACTOR) as unit:
            expires = self.now() + self.keep
            failed = {"lease_until": None, "error": _reason(error), "state": "failed", "expires_at": expires}
            if unit.bulk_jobs.progress(job, failed):
                unit.audit.record("bulk:fail", job.id, f"client:{job.client}", kind=job.kind, reason=reason)
            unit.commit()

    def _is_stored(self, job: BulkJob, error: GatewayError) -> bool:
        """Whether a part of it is; of a Bundle, what is so is filed as its answer."""
        with self.database.read() as unit:
            now = unit.bulk_jobs.get(job.id) or job
        if job.kind == "import":
            return now.step > 0
        return job.kind == "request" and bool(self._answered(job, error))

    def _answered(self, job: BulkJob, error: GatewayError) -> bool | None:
        """Whether an answer with what is stored is filed; None where what was asked or done does not open any more."""
        try:
            return self.request.cut_short(job, error)
        except (JobEnded, Unavailable):
            raise
        except GatewayError:
            return None

    def _cut_short(self, job: BulkJob, error: GatewayError, reason: str) -> None:
        """Of an export nothing is given out; of an import or a Bundle what is stored stays, and is told."""
        if job.kind == "export":
            self.export.forget_earlier(job)
        elif job.kind == "request" and self._answered(job, error) is None:
            self._fail(job, error, reason)
            return
        self._told(job, error, reason)

    def _told(self, job: BulkJob, error: GatewayError, reason: str) -> None:
        """The job is done, with the reason for its end under `error` of the manifest."""
        with self.database.read() as unit:
            now = unit.bulk_jobs.get(job.id) or job
        text = f"{error}; lines looked at before: {now.step}" if job.kind == "import" else str(error)
        line = encode(issue(OUTCOMES[error.category][1], text)) + b"\n"
        key = self.export.files.store(line)
        file = BulkFile(key, job.id, _LAST_PART, "error", "OperationOutcome", 1, None)
        with self.database.begin(ACTOR) as unit:
            expires = self.now() + self.keep
            done = {"state": "done", "lease_until": None, "error": _reason(error), "expires_at": expires}
            if unit.bulk_jobs.progress(job, done):
                unit.bulk_jobs.add_file(file)
                unit.audit.record("bulk:fail", job.id, f"client:{job.client}", kind=job.kind, reason=reason)
            unit.commit()


def pause_after(failures: int, error: GatewayError) -> timedelta:
    """10, 30, 90, 270 seconds; where the error says when trying again makes sense, not before."""
    asked = timedelta(seconds=error.seconds) if isinstance(error, TooManyOpenings) else timedelta()
    return max(_PAUSE * int(_GROWTH ** (failures - 1)), asked)


def _reason(error: GatewayError) -> str:
    """In the job's row; free of patient data, like every error."""
    return f"{error.category.value}: {error}"[:500]


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
