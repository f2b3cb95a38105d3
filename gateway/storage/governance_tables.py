"""Tables of stopped models and of approvals that wait for a second person.

Workers read `model_stop`, so that none of them claims a task of a stopped model; `model_approval` is closed to them.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table, Text, select

from gateway.storage.review_tables import recall
from gateway.storage.tables import UtcTime, metadata, must

model_stop = Table(
    "model_stop",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    must(Text, "reason"),
    must(UtcTime, "at"),
    must(Text, "by"),
)

model_approval = Table(
    "model_approval",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    must(UtcTime, "at"),
    must(Text, "by"),
)

silenced = select(model_stop.c.model_id).union_all(select(recall.c.model_id))
"""Models that nothing is run with: stopped until somebody resumes them, or recalled for good."""
