"""How a job is held while it is carried out: for a time that is renewed with what is done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.domain.bulk import BulkJob
from gateway.domain.errors import Busy
from gateway.ports import Database

LEASE: Final = timedelta(seconds=60)


class JobEnded(Busy):
    """The job was cancelled, or another holds it now; nothing more of it may be done here."""

    def __init__(self) -> None:
        super().__init__("the job was ended")


def lease_end() -> datetime:
    """Until when a job is held from now on."""
    return datetime.now(UTC) + LEASE


def renew(database: Database, job: BulkJob) -> None:
    """Holds the job for another while; JobEnded where it is held no more."""
    with database.begin("bulk") as unit:
        if not unit.bulk_jobs.progress(job, {"lease_until": lease_end()}):
            raise JobEnded
        unit.commit()
