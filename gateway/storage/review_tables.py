"""Tables of what physicians decided about reports, and of recalled models.

Workers read `recall`, so that none of them announces a recalled model as active; `review` is closed to them.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from gateway.domain.review import Outcome, Reviewer, Verdict
from gateway.storage.columns import Json, Texts, UtcTime, metadata, must, one_of

review = Table(
    "review",
    metadata,
    Column("report_id", Text),
    Column("version", Integer, autoincrement=False),
    must(Integer, "base_version"),
    must(UtcTime, "base_at"),
    must(Text, "outcome"),
    must(Text, "verdict"),
    must(Json(Reviewer), "reviewer"),
    must(Text, "reason"),
    must(UtcTime, "at", index=True),
    must(Texts, "models"),
    must(Text, "signature"),
    must(Text, "key_id"),
    PrimaryKeyConstraint("report_id", "version"),
    ForeignKeyConstraint(["report_id", "version"], ["report_version.report_id", "report_version.version"]),
    one_of("outcome", get_args(Outcome)),
    one_of("verdict", get_args(Verdict)),
)

recall = Table(
    "recall",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    must(Text, "model_name"),
    must(Text, "model_version"),
    must(Text, "reason"),
    must(UtcTime, "at"),
    must(Text, "by"),
)
