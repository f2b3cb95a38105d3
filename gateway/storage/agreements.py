"""Final reports received and how models' answers compare with them, as rows (port `Agreements`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update

from gateway.domain.agreement import Agreement, AgreementCount, FinalReport, StudyLink
from gateway.domain.finding import Finding
from gateway.domain.ids import ModelId, StudyId
from gateway.storage import tables
from gateway.storage.agreement_tables import agreement, final_report, final_report_link
from gateway.storage.transaction import AnyRow, Transaction

_AGREEMENT = tuple(agreement.c[field.name] for field in fields(Agreement))
_report, _link, _row = final_report.c, final_report_link.c, agreement.c
_REPORT = (_report.key, _report.version, _report.patient, _report.received_at, _report.answers)
_AT_ONCE = 500  # patients in one statement
_finding, _task = tables.finding.c, tables.task.c


class SqlAgreements:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def keep(self, report: FinalReport) -> None:
        self.forget(report.key)
        row = {column.name: getattr(report, column.name) for column in _REPORT}
        self._transaction.execute(insert(final_report), row)
        whose = {"key": report.key, "patient": report.patient}
        links = [{**whose, "kind": one.kind, "link": one.index} for one in dict.fromkeys(report.links)]
        if links:
            self._transaction.execute(insert(final_report_link), links)

    def forget(self, key: int) -> None:
        self._transaction.execute(delete(final_report_link).where(_link.key == key))
        self._transaction.execute(delete(final_report).where(_report.key == key))

    def find(self, key: int) -> FinalReport | None:
        found = self._reports(self._transaction.all(select(*_REPORT).where(_report.key == key)))
        return found[0] if found else None

    def heard_of(self, patients: Collection[str]) -> frozenset[str]:
        named, found = sorted(patients), set[str]()
        for start in range(0, len(named), _AT_ONCE):
            some = select(_report.patient).where(_report.patient.in_(named[start : start + _AT_ONCE])).distinct()
            found |= {row.patient for row in self._transaction.all(some)}
        return frozenset(found)

    def linked(self, patient: str, links: Collection[bytes], limit: int) -> list[FinalReport]:
        keys: set[int] = set()
        for link in sorted(links):
            mine = select(_link.key).where(_link.link == link, _link.patient == patient)
            keys |= {row.key for row in self._transaction.all(mine.order_by(_link.key.desc()).limit(limit))}
        if not keys:
            return []
        newest = sorted(keys)[-limit:]
        found = select(*_REPORT).where(_report.key.in_(newest)).order_by(_report.key.desc())
        return self._reports(self._transaction.all(found))

    def findings(self, study_id: StudyId) -> list[Finding]:
        newest = (
            select(_task.model_id, func.max(_finding.revision).label("revision"))
            .join(tables.task, _task.id == _finding.task_id)
            .where(_finding.study_id == study_id)
            .group_by(_task.model_id)
            .subquery()
        )
        found = (
            select(_finding.content)
            .join(tables.task, _task.id == _finding.task_id)
            .join(newest, and_(newest.c.model_id == _task.model_id, newest.c.revision == _finding.revision))
            .where(_finding.study_id == study_id)
        )
        return [row.content for row in self._transaction.all(found.order_by(_finding.id))]

    def of_study(self, study_id: StudyId) -> list[Agreement]:
        mine = select(*_AGREEMENT).where(_row.study_id == study_id).order_by(_row.model_id)
        return [Agreement(*row) for row in self._transaction.all(mine)]

    def put(self, made: Agreement) -> None:
        if not self._transaction.insert_new(agreement, vars(made)):
            mine = and_(_row.study_id == made.study_id, _row.model_id == made.model_id)
            self._transaction.execute(update(agreement).where(mine), vars(made))
        told = {"model": made.model_id, "finding": made.finding_id, "outcome": made.outcome}
        self._transaction.record("agreement:compare", made.study_id, **told)

    def withdraw(self, made: Agreement) -> None:
        mine = and_(_row.study_id == made.study_id, _row.model_id == made.model_id)
        self._transaction.execute(delete(agreement).where(mine))
        self._transaction.record("agreement:withdraw", made.study_id, model=made.model_id, finding=made.finding_id)

    def counts(
        self, since: datetime, before: datetime | None = None, model_id: ModelId | None = None
    ) -> list[AgreementCount]:
        wanted = [_row.answered_at >= since]
        if before is not None:
            wanted.append(_row.answered_at < before)
        if model_id is not None:
            wanted.append(_row.model_id == model_id)
        alike = (_row.model_id, _row.outcome, _row.said, _row.reference, _row.positive)
        counted = select(*alike, func.count()).where(*wanted).group_by(*alike).order_by(*alike)
        return [AgreementCount(*row) for row in self._transaction.all(counted)]

    def _reports(self, rows: Sequence[AnyRow]) -> list[FinalReport]:
        links: dict[int, list[StudyLink]] = {row.key: [] for row in rows}
        found: Any = select(_link.key, _link.kind, _link.link).where(_link.key.in_(sorted(links)))
        for each in self._transaction.all(found.order_by(_link.key, _link.kind, _link.link)) if links else ():
            links[each.key].append(StudyLink(each.kind, bytes(each.link)))
        return [
            FinalReport(row.key, row.version, row.patient, row.received_at, tuple(links[row.key]), row.answers)
            for row in rows
        ]
