"""Reports and their versions, as rows (port `Reports`).

Version 1 is the registered report without content; every later version is a move of the report's state table, and
a version once written is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, insert, or_, select

from gateway.domain.errors import Conflict, Missing
from gateway.domain.ids import ReportId, StudyId
from gateway.domain.lifecycle import REPORT
from gateway.domain.report import Report, ReportContent, ReportVersion, report_id
from gateway.domain.study import Study
from gateway.storage import tables
from gateway.storage.arrivals import STUDY_COLUMNS as _STUDY_COLUMNS
from gateway.storage.transaction import Transaction
from gateway.storage.transitions import move

_report = tables.report.c
_version = tables.report_version.c
_COLUMNS = tuple(_report[field.name] for field in fields(Report))
_VERSION_COLUMNS = tuple(_version[field.name] for field in fields(ReportVersion))


class SqlReports:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def register(self, study: Study, at: datetime) -> Report:
        registered = report_id(study.id)
        report = Report(registered, study.id, REPORT.initial, 1, at, at)
        if self._transaction.insert_new(tables.report, vars(report)):
            self._write_version(report, study.revision, None)
            self._transaction.record("report:register", registered, study=study.id)
            return report
        return self.get(registered)

    def write(self, report: Report, event: str, revision: int, content: ReportContent, at: datetime) -> Report:
        written = Report(
            report.id,
            report.study_id,
            REPORT.after(report.status, event),
            report.version + 1,
            report.created_at,
            at,
        )
        moved = move(
            self._transaction,
            REPORT,
            report.id,
            report.status,
            event,
            _report.version == report.version,
            changes={"version": written.version, "updated_at": at},
            details={"version": written.version, "revision": revision},
        )
        if not moved:
            raise Conflict("the report has a newer version than the one that was read")
        self._write_version(written, revision, content)
        return written

    def get(self, report_id: ReportId) -> Report:
        row = self._transaction.first(select(*_COLUMNS).where(_report.id == report_id))
        if row is None:
            raise Missing("no such report")
        return Report(*row)

    def version(self, report_id: ReportId, version: int) -> ReportVersion:
        one = and_(_version.report_id == report_id, _version.version == version)
        row = self._transaction.first(select(*_VERSION_COLUMNS).where(one))
        if row is None:
            raise Missing("no such version of a report")
        return ReportVersion(*row)

    def versions(self, report_id: ReportId) -> list[ReportVersion]:
        """Oldest first; empty for an unknown report."""
        found = select(*_VERSION_COLUMNS).where(_version.report_id == report_id).order_by(_version.version)
        return [ReportVersion(*row) for row in self._transaction.all(found)]

    def find(
        self,
        *,
        studies: Sequence[StudyId] | None = None,
        statuses: Sequence[str] | None = None,
        updated_from: datetime | None = None,
        updated_before: datetime | None = None,
        limit: int,
        after: tuple[datetime, ReportId] | None = None,
    ) -> list[Report]:
        purged = select(tables.study.c.id).where(tables.study.c.state == "purged")
        found: Select[*tuple[Any, ...]] = select(*_COLUMNS).where(_report.study_id.not_in(purged))
        if studies is not None:
            found = found.where(_report.study_id.in_(studies))
        if statuses is not None:
            found = found.where(_report.status.in_(statuses))
        if updated_from is not None:
            found = found.where(_report.updated_at >= updated_from)
        if updated_before is not None:
            found = found.where(_report.updated_at < updated_before)
        if after is not None:
            time, last = after
            found = found.where(_report.updated_at <= time, or_(_report.updated_at < time, _report.id < last))
        newest_first = found.order_by(_report.updated_at.desc(), _report.id.desc()).limit(limit)
        return [Report(*row) for row in self._transaction.all(newest_first)]

    def waiting(self, limit: int) -> list[tuple[Report, Study]]:
        found = self._waiting(*_COLUMNS, *_STUDY_COLUMNS).order_by(
            case((tables.study.c.priority == "stat", 0), else_=1), _report.updated_at, _report.id
        )
        split = len(_COLUMNS)
        rows = self._transaction.all(found.limit(limit))
        return [(Report(*row[:split]), Study(*row[split:])) for row in rows]

    def count_waiting(self, limit: int) -> int:
        some = self._waiting(_report.id).limit(limit).subquery()
        row = self._transaction.first(select(func.count()).select_from(some))
        return int(row[0]) if row else 0

    def _waiting(self, *columns: Any) -> Select[*tuple[Any, ...]]:
        study = tables.study.c
        of_study = tables.report.join(tables.study, study.id == _report.study_id)
        return select(*columns).select_from(of_study).where(_report.status == "preliminary", study.state != "purged")

    def _write_version(self, report: Report, revision: int, content: ReportContent | None) -> None:
        version = ReportVersion(report.id, report.version, report.status, revision, report.updated_at, content)
        self._transaction.execute(insert(tables.report_version), vars(version))
