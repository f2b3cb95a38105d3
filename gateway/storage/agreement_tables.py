"""Tables of final reports that other systems have sent, and of what models had said beside them.

They hold labels, outcomes, ids and blind indexes: workers read the first two and write the third, so that a report
that came before the finding is compared when that comes.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from gateway.domain.agreement import CodedAnswer, LinkKind, Outcome
from gateway.storage.columns import Json, UtcTime, metadata, must, one_of

final_report = Table(
    "final_report",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),  # of the resource in the FHIR store
    must(Integer, "version"),
    must(Text, "patient", ForeignKey("patient.pseudonym"), index=True),
    must(UtcTime, "received_at"),
    must(Json(tuple[CodedAnswer, ...]), "answers"),
)

final_report_link = Table(
    "final_report_link",
    metadata,
    Column("key", BigInteger, ForeignKey("final_report.key"), autoincrement=False),
    Column("kind", Text),
    Column("link", LargeBinary),
    must(Text, "patient"),
    PrimaryKeyConstraint("key", "kind", "link"),
    Index(None, "link", "patient", "key"),  # the newest few are found however many name one study
    one_of("kind", get_args(LinkKind)),
)

agreement = Table(
    "agreement",
    metadata,
    Column("study_id", Text, ForeignKey("study.id")),
    Column("model_id", Text, ForeignKey("model.id")),
    must(Text, "finding_id", ForeignKey("finding.id")),
    must(Text, "outcome"),
    must(Text, "said"),
    must(Text, "reference"),
    must(Text, "positive"),
    must(UtcTime, "answered_at", index=True),
    must(UtcTime, "compared_at"),
    PrimaryKeyConstraint("study_id", "model_id"),
    one_of("outcome", get_args(Outcome)),
)
