"""The tables of the work itself: patients, studies, tasks, findings, reports and deliveries, as columns.

Columns bear the names of the domain's fields, so a row becomes a dataclass without a map. Tables whose name
begins with `vault_` hold identity (sealed) and are closed to workers: on PostgreSQL by grant (worker_role.py).
Every other table is in a `*_tables.py` beside this file; schema.py lists them.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from gateway.domain.clearance import Box, Deidentification, PixelFinding, Pixels
from gateway.domain.finding import Finding
from gateway.domain.lifecycle import DELIVERY, INSTANCE, PIXEL_TASK, REPORT, STUDY, TASK
from gateway.domain.model import AppliesTo, ModelState
from gateway.domain.record import Needs
from gateway.domain.report import ReportContent
from gateway.domain.study import Evidence, Priority, StudyKind
from gateway.storage.columns import Header, Json, Texts, UtcTime, metadata, must, one_of

patient = Table(
    "patient",
    metadata,
    Column("pseudonym", Text, primary_key=True),
    must(LargeBinary, "wrapped_object_key"),  # empty once the patient was erased
    Column("erased_at", UtcTime),
    Column("files_deleted_at", UtcTime),  # of an erased patient: nothing is left in the blob store
)

vault_patient = Table(
    "vault_patient",
    metadata,
    Column("index", LargeBinary, primary_key=True),
    must(LargeBinary, "id_index", index=True),
    # deferred: the vault row is the arbiter between two processes and therefore comes first
    must(Text, "pseudonym", ForeignKey("patient.pseudonym", deferrable=True, initially="DEFERRED"), unique=True),
    must(LargeBinary, "sealed_secret"),
)

study = Table(
    "study",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "study_uid", unique=True),
    must(Text, "patient", ForeignKey("patient.pseudonym"), index=True),
    must(Text, "state"),
    must(Integer, "revision"),
    must(Text, "priority"),
    must(Texts, "modalities"),
    must(Texts, "body_parts"),
    must(Integer, "instance_count"),
    Column("expected_count", Integer),
    must(UtcTime, "first_received_at"),
    must(UtcTime, "last_received_at"),
    must(UtcTime, "settle_at"),
    Column("settled_by", Text),
    Column("study_date", Text),
    Column("accession_index", LargeBinary, index=True),
    Column("study_uid_index", LargeBinary, index=True),
    must(Text, "kind", server_default="images"),
    Column("again_at", UtcTime),  # a record that is looked at again though nothing is written to it
    one_of("kind", get_args(StudyKind)),
    one_of("state", STUDY.states),
    one_of("priority", get_args(Priority)),
    one_of("settled_by", get_args(Evidence)),
    Index(None, "state", "settle_at"),
    Index(None, "last_received_at"),
)

Index(
    "ix_study_again_at",
    study.c.again_at,
    sqlite_where=study.c.again_at.is_not(None),
    postgresql_where=study.c.again_at.is_not(None),
)

vault_study = Table(
    "vault_study",
    metadata,
    Column("study_id", Text, ForeignKey("study.id"), primary_key=True),
    must(LargeBinary, "sealed_identity"),
)

instance = Table(
    "instance",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Text, "series_uid"),
    must(Text, "sop_instance_uid"),
    must(Text, "sop_class_uid"),
    must(Text, "transfer_syntax_uid"),
    must(Text, "modality"),
    must(Text, "blob_key", unique=True),
    must(BigInteger, "size"),
    must(LargeBinary, "digest"),
    must(Header, "header"),
    must(UtcTime, "received_at"),
    must(Text, "received_from"),
    must(Boolean(create_constraint=False), "is_current"),
    must(Text, "clearance"),
    Column("clearance_reason", Text),
    must(Text, "pixels"),
    Column("deidentification", Json(Deidentification)),
    Column("content_digest", LargeBinary),
    Column("removed_pixels_key", Text),
    Column("checked_at", UtcTime),
    one_of("clearance", INSTANCE.states),
    one_of("pixels", get_args(Pixels)),
    UniqueConstraint("study_id", "sop_instance_uid", "digest"),
    Index(None, "study_id", "received_at"),
)
# at most one version of an object is the current one
Index(
    "ix_instance_current",
    instance.c.study_id,
    instance.c.sop_instance_uid,
    unique=True,
    sqlite_where=instance.c.is_current,
    postgresql_where=instance.c.is_current,
)

# what still has to be decided is found, and nothing else: most objects are cleared
Index(
    "ix_instance_uncleared",
    instance.c.clearance,
    instance.c.received_at,
    sqlite_where=instance.c.clearance != "cleared",
    postgresql_where=instance.c.clearance != "cleared",
)

pixel_task = Table(
    "pixel_task",
    metadata,
    Column("id", Text, ForeignKey("instance.id"), primary_key=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Text, "state"),
    must(Integer, "attempt"),
    must(Text, "priority"),
    must(UtcTime, "created_at"),
    Column("owner", Text),
    Column("lease_until", UtcTime),
    Column("published_at", UtcTime),
    Column("reason", Text),
    must(Integer, "retried_at"),
    must(UtcTime, "due_at"),
    Column("asked", Json(tuple[Box, ...])),
    Column("finding", Json(PixelFinding)),
    Column("preview_key", Text),
    one_of("state", PIXEL_TASK.states),
    one_of("priority", get_args(Priority)),
    Index(None, "state", "priority", "created_at"),
    Index(None, "study_id"),
)

vault_quota = Table(
    "vault_quota",
    metadata,
    Column("actor", Text),
    Column("window_start", UtcTime),
    must(Integer, "openings"),
    PrimaryKeyConstraint("actor", "window_start"),
)

vault_instance = Table(
    "vault_instance",
    metadata,
    Column("instance_id", Text, ForeignKey("instance.id"), primary_key=True),
    must(LargeBinary, "sealed_original_header"),
)

model = Table(
    "model",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "name"),
    must(Text, "version"),
    must(Text, "sha256"),
    must(Text, "title"),
    must(Text, "intended_use"),
    must(Json(AppliesTo), "applies_to"),
    must(Text, "card_sha256"),
    must(Text, "card"),
    must(Text, "provider"),
    must(Text, "state"),
    must(UtcTime, "announced_at"),
    Column("decided_by", Text),
    Column("activated_at", UtcTime),
    Column("needs", Json(Needs)),  # of a model on records: what it asks of one
    one_of("state", get_args(ModelState)),
)
# one active version for each name
Index(
    "ix_model_active",
    model.c.name,
    unique=True,
    sqlite_where=model.c.state == "active",
    postgresql_where=model.c.state == "active",
)

task = Table(
    "task",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Integer, "revision"),
    must(Text, "model_id", ForeignKey("model.id")),
    must(Text, "state"),
    must(Integer, "attempt"),
    must(Text, "priority"),
    must(UtcTime, "created_at"),
    Column("owner", Text),
    Column("lease_until", UtcTime),
    Column("published_at", UtcTime),
    Column("reason", Text),
    must(Integer, "retried_at"),
    must(UtcTime, "due_at"),  # not before this time is it published again
    must(Boolean(create_constraint=False), "shadow", server_default=false()),
    one_of("state", TASK.states),
    one_of("priority", get_args(Priority)),
    UniqueConstraint("study_id", "revision", "model_id"),
    Index(None, "state", "priority", "created_at"),
    Index(None, "created_at"),
)

finding = Table(
    "finding",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "task_id", ForeignKey("task.id"), unique=True),
    must(Text, "study_id", ForeignKey("study.id")),
    must(Integer, "revision"),
    Column("decided", Text),
    Column("probability", Float),
    must(UtcTime, "created_at"),
    must(Json(Finding), "content"),
    Index(None, "study_id", "revision"),
    Index(None, "created_at"),
)

report = Table(
    "report",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "study_id", ForeignKey("study.id"), unique=True),
    must(Text, "status"),
    must(Integer, "version"),
    must(UtcTime, "created_at"),
    must(UtcTime, "updated_at"),
    one_of("status", REPORT.states),
    Index(None, "updated_at", "id"),
)
# the worklist of physicians
Index(
    "ix_report_waiting",
    report.c.updated_at,
    sqlite_where=report.c.status == "preliminary",
    postgresql_where=report.c.status == "preliminary",
)

report_version = Table(
    "report_version",
    metadata,
    Column("report_id", Text, ForeignKey("report.id")),
    Column("version", Integer),
    must(Text, "status"),
    must(Integer, "revision"),
    must(UtcTime, "created_at"),
    Column("content", Json(ReportContent)),
    PrimaryKeyConstraint("report_id", "version"),
    one_of("status", REPORT.states),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    must(Text, "report_id", ForeignKey("report.id")),
    must(Integer, "version"),
    must(Text, "destination"),
    must(Text, "state"),
    must(Integer, "attempt"),
    must(UtcTime, "due_at"),
    Column("lease_until", UtcTime),
    Column("last_error", Text),
    Column("acknowledgement", Text),
    must(Text, "patient", server_default=""),
    Column("planned_at", UtcTime),
    one_of("state", DELIVERY.states),
    UniqueConstraint("report_id", "version", "destination"),
    Index(None, "destination", "state", "due_at"),
)
# what of a patient is still to be sent, to keep its order
Index(
    "ix_delivery_open",
    delivery.c.destination,
    delivery.c.patient,
    sqlite_where=delivery.c.state.in_(("pending", "sending")),
    postgresql_where=delivery.c.state.in_(("pending", "sending")),
)
