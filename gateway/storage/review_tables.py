"""Tables of what physicians decided about reports, and of recalled models.

Workers read `recall`, so that none of them announces a recalled model as active; `review` is closed to them.
"""

from __future__ import annotations

from typing import Any, get_args

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from gateway.domain.review import Outcome, Reviewer, Verdict
from gateway.storage.tables import Json, Texts, UtcTime, metadata


def _must(kind: Any, name: str, *rest: Any, **options: Any) -> Column[Any]:
    return Column(name, kind, *rest, nullable=False, **options)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


review = Table(
    "review",
    metadata,
    Column("report_id", Text),
    Column("version", Integer, autoincrement=False),
    _must(Integer, "base_version"),
    _must(UtcTime, "base_at"),
    _must(Text, "outcome"),
    _must(Text, "verdict"),
    _must(Json(Reviewer), "reviewer"),
    _must(Text, "reason"),
    _must(UtcTime, "at", index=True),
    _must(Texts, "models"),
    _must(Text, "signature"),
    _must(Text, "key_id"),
    PrimaryKeyConstraint("report_id", "version"),
    ForeignKeyConstraint(["report_id", "version"], ["report_version.report_id", "report_version.version"]),
    _one_of("outcome", get_args(Outcome)),
    _one_of("verdict", get_args(Verdict)),
)

recall = Table(
    "recall",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    _must(Text, "model_name"),
    _must(Text, "model_version"),
    _must(Text, "reason"),
    _must(UtcTime, "at"),
    _must(Text, "by"),
)
