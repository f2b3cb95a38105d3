"""What physicians decided about report versions, as rows (port `Reviews`); a row once written is never changed."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select

from gateway.domain.ids import ReportId
from gateway.domain.review import Review
from gateway.storage.review_tables import review
from gateway.storage.transaction import Transaction

_COLUMNS = tuple(review.c[field.name] for field in fields(Review))


class SqlReviews:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def add(self, made: Review) -> None:
        self._transaction.execute(insert(review), vars(made))
        self._transaction.record(
            "report:review",
            made.report_id,
            version=made.version,
            base=made.base_version,
            outcome=made.outcome,
            verdict=made.verdict,
            person=made.reviewer.id,
        )

    def of_report(self, report_id: ReportId) -> list[Review]:
        mine = select(*_COLUMNS).where(review.c.report_id == report_id)
        return self._reviews(mine.order_by(review.c.version))

    def since(self, since: datetime, limit: int, before: datetime | None = None) -> list[Review]:
        found = select(*_COLUMNS).where(review.c.at >= since)
        if before is not None:
            found = found.where(review.c.at < before)
        return self._reviews(found.order_by(review.c.at.desc(), review.c.report_id).limit(limit))

    def counts_by_key(self) -> dict[str, int]:
        rows = self._transaction.all(select(review.c.key_id, func.count()).group_by(review.c.key_id))
        return {str(kid): int(count) for kid, count in rows}

    def _reviews(self, found: Select[*tuple[Any, ...]]) -> list[Review]:
        return [Review(*row) for row in self._transaction.all(found)]
