"""Tables of stopped models, of approvals that wait for a second person, and of acceptance runs.

Workers read `model_stop`, so that none of them claims a task of a stopped model, and `acceptance`, so that none
activates a model that was not accepted; `model_approval` is closed to them.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import Column, Float, ForeignKey, Integer, Table, Text, select

from gateway.domain.acceptance import Limits, Measured, Verdict
from gateway.storage.columns import Json, Texts, UtcTime, metadata, must, one_of
from gateway.storage.review_tables import recall

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

acceptance = Table(
    "acceptance",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "name"),
    must(Text, "version"),
    must(Text, "sha256", index=True),  # of the model, which no worker need have announced yet
    must(Text, "data_sha256"),
    must(Integer, "scored"),
    must(Integer, "positive"),
    must(Integer, "refused"),
    must(Json(Measured), "auc"),
    must(Json(Measured), "sensitivity"),
    must(Json(Measured), "specificity"),
    must(Text, "worst_subgroup"),
    Column("worst_auc", Float),
    must(Json(Limits), "limits"),
    must(Texts, "missed"),
    must(Text, "verdict"),
    must(UtcTime, "at"),
    must(Text, "by"),
    one_of("verdict", get_args(Verdict)),
)

silenced = select(model_stop.c.model_id).union_all(select(recall.c.model_id))
"""Models that nothing is run with: stopped until somebody resumes them, or recalled for good."""
