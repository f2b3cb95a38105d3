"""How a job is held while it is carried out: for a time that is renewed with what is done, while its grant lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gateway.domain.bulk import BulkFile, BulkJob
from gateway.domain.errors import Busy, Forbidden
from gateway.flow.bulk.files import BulkFiles
from gateway.ports import Database, UnitOfWork

LEASE: Final = timedelta(seconds=60)
RENEW_SECONDS: Final = 10.0
"""How often it is renewed where nothing that is done renews it."""


class JobEnded(Busy):
    """The job was cancelled, or another holds it now; nothing more of it may be done here."""

    def __init__(self) -> None:
        super().__init__("the job was ended")


class GrantEnded(Forbidden):
    """What the job was begun with holds no more: nothing further of it is read or written."""


def lease_end() -> datetime:
    """Until when a job is held from now on."""
    return datetime.now(UTC) + LEASE


def hold(unit: UnitOfWork, job: BulkJob, changes: Mapping[str, Any] | None = None) -> None:
    """Holds the job for another while, in the transaction of what is done for it.

    JobEnded where it is held no more, GrantEnded where its grant was taken back. On PostgreSQL the row is locked, so
    that who takes back waits for the commit, or is waited for.
    """
    told = {"lease_until": lease_end(), **(changes or {})}
    if "step" in told:
        told["failures"] = 0
    if not unit.bulk_jobs.proceed(job, told):
        look(unit, job)
        raise JobEnded


@contextmanager
def filing(
    database: Database,
    files: BulkFiles,
    job: BulkJob,
    file: BulkFile,
    *,
    actor: str = "bulk",
    changes: Mapping[str, Any] | None = None,
) -> Iterator[UnitOfWork]:
    """The unit in which a stored file becomes the job's, which it holds; the file goes where the job has ended."""
    try:
        with database.begin(actor) as unit:
            hold(unit, job, changes)
            unit.bulk_jobs.add_file(file)
            yield unit
            unit.commit()
    except (JobEnded, GrantEnded):
        files.delete(file)
        raise


def look(unit: UnitOfWork, job: BulkJob) -> None:
    """The same question where nothing is written: before something is read."""
    now = unit.bulk_jobs.get(job.id)
    if now is None or now.state != "accepted" or now.attempt != job.attempt:
        raise JobEnded
    if now.revoked_at is not None:
        raise GrantEnded("what this was asked with was taken back before it was done: nothing further was done")


def renew(database: Database, job: BulkJob) -> None:
    """Holds the job for another while, whatever became of its grant."""
    with database.begin("bulk") as unit:
        if not unit.bulk_jobs.progress(job, {"lease_until": lease_end()}):
            raise JobEnded
        unit.commit()
