"""Bulk jobs and their files, as rows (port `BulkJobs`); a job is held by lease, its attempt fences earlier holders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from gateway.domain.bulk import BulkFile, BulkJob, BulkKind
from gateway.storage.bulk_tables import vault_bulk_answer, vault_bulk_file, vault_bulk_job
from gateway.storage.transaction import JOB_LOCK, Transaction

_job, _file, _answer = vault_bulk_job.c, vault_bulk_file.c, vault_bulk_answer.c
_JOBS = select(*(_job[field.name] for field in fields(BulkJob)))
_FILES = select(*(_file[field.name] for field in fields(BulkFile)))
_OPEN = _job.state == "accepted"


def _held(job: BulkJob) -> ColumnElement[bool]:
    return and_(_job.id == job.id, _job.attempt == job.attempt, _OPEN)


class SqlBulkJobs:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, job: BulkJob) -> None:
        self._transaction.execute(vault_bulk_job.insert(), asdict(job))

    def get(self, job_id: str) -> BulkJob | None:
        row = self._transaction.first(_JOBS.where(_job.id == job_id))
        return None if row is None else BulkJob(*row)

    def count_open(self, client: str) -> int:
        counted = select(func.count()).select_from(vault_bulk_job).where(_OPEN, _job.client == client)
        return int(self._transaction.all(counted)[0][0])

    def due(self, now: datetime, limit: int, kinds: Sequence[BulkKind]) -> list[BulkJob]:
        free = or_(_job.lease_until.is_(None), _job.lease_until <= now)
        found = (
            _JOBS.where(_OPEN, _job.kind.in_(kinds), _job.due_at <= now, free)
            .order_by(_job.due_at, _job.id)
            .limit(limit)
        )
        return [BulkJob(*row) for row in self._transaction.all(found)]

    def claim(self, job: BulkJob, lease_until: datetime) -> BulkJob | None:
        """Never beside an erasure: who is erased meanwhile is gone before anything is read, or finds the job held."""
        self._transaction.serialize(JOB_LOCK)
        taken = {"attempt": job.attempt + 1, "lease_until": lease_until}
        return self.get(job.id) if self.progress(job, taken) else None

    def progress(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        return self._changed(_held(job), changes)

    def proceed(self, job: BulkJob, changes: Mapping[str, Any]) -> bool:
        return self._changed(and_(_held(job), _job.revoked_at.is_(None)), changes)

    def _changed(self, mine: ColumnElement[bool], changes: Mapping[str, Any]) -> bool:
        return self._transaction.execute(update(vault_bulk_job).where(mine).values(dict(changes))).rowcount == 1

    def end(self, job_id: str, state: str) -> bool:
        mine = and_(_job.id == job_id, _job.state.in_(("accepted", "done", "failed")))
        changes = {"state": state, "lease_until": None}
        return self._transaction.execute(update(vault_bulk_job).where(mine).values(changes)).rowcount == 1

    def past(self, now: datetime, limit: int) -> list[BulkJob]:
        over = or_(_job.state.in_(("cancelled", "expired")), and_(_job.expires_at <= now, ~_OPEN))
        return [BulkJob(*row) for row in self._transaction.all(_JOBS.where(over).order_by(_job.id).limit(limit))]

    def remove(self, job_id: str) -> None:
        self._transaction.execute(delete(vault_bulk_file).where(_file.job == job_id))
        self._transaction.execute(delete(vault_bulk_answer).where(_answer.job == job_id))
        self._transaction.execute(delete(vault_bulk_job).where(_job.id == job_id))

    def files(self, job_id: str) -> list[BulkFile]:
        found = _FILES.where(_file.job == job_id).order_by(_file.part, _file.blob_key)
        return [BulkFile(*row) for row in self._transaction.all(found)]

    def add_file(self, file: BulkFile) -> None:
        self._transaction.execute(vault_bulk_file.insert(), asdict(file))

    def drop_file(self, file: BulkFile) -> None:
        self._transaction.execute(delete(vault_bulk_file).where(_file.blob_key == file.blob_key))

    def answers(self, job_id: str) -> dict[int, bytes]:
        found = select(_answer.place, _answer.sealed).where(_answer.job == job_id)
        return {int(place): bytes(sealed) for place, sealed in self._transaction.all(found)}

    def add_answers(self, job_id: str, sealed: Mapping[int, bytes]) -> None:
        rows = [{"job": job_id, "place": place, "sealed": one} for place, one in sorted(sealed.items())]
        if rows:
            self._transaction.execute(vault_bulk_answer.insert(), rows)
