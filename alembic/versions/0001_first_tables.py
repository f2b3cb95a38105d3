"""The first tables, and the triggers that keep the audit trail append-only."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    "client",
    "person",
    "access_grant",
    "patient",
    "vault_patient",
    "study",
    "vault_study",
    "instance",
    "vault_instance",
    "model",
    "task",
    "finding",
    "report",
    "report_version",
    "delivery",
    "audit",
)

_APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
        " BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
        " BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$",
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit"
        " FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
        "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
    ),
}


def upgrade() -> None:
    _people_and_peers()
    _patients()
    _studies()
    _work()
    _reports()
    _audit()
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """Removes everything, the trail included; triggers go with their table."""
    for name in reversed(_TABLES):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_append_only()")


def _people_and_peers() -> None:
    op.create_table(
        "client",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('fhir', 'dicom')", name=op.f("ck_client_kind")),
        sa.PrimaryKeyConstraint("id", name="pk_client"),
        sa.UniqueConstraint("kind", "name", name="uq_client_kind_name"),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'auditor', 'physician')", name=op.f("ck_person_role")),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("name", name="uq_person_name"),
    )
    op.create_table(
        "access_grant",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('token', 'session')", name=op.f("ck_access_grant_kind")),
        sa.PrimaryKeyConstraint("token_hash", name="pk_access_grant"),
    )
    op.create_index("ix_access_grant_expires_at", "access_grant", ["expires_at"], unique=False)


def _patients() -> None:
    op.create_table(
        "patient",
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("wrapped_object_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name="pk_patient"),
    )
    op.create_table(
        "vault_patient",
        sa.Column("index", sa.LargeBinary(), nullable=False),
        sa.Column("id_index", sa.LargeBinary(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pseudonym"],
            ["patient.pseudonym"],
            name="fk_vault_patient_pseudonym",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("index", name="pk_vault_patient"),
        sa.UniqueConstraint("pseudonym", name="uq_vault_patient_pseudonym"),
    )
    op.create_index("ix_vault_patient_id_index", "vault_patient", ["id_index"], unique=False)


def _studies() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("modalities", sa.Text(), nullable=False),
        sa.Column("body_parts", sa.Text(), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("expected_count", sa.Integer(), nullable=True),
        sa.Column("first_received_at", sa.BigInteger(), nullable=False),
        sa.Column("last_received_at", sa.BigInteger(), nullable=False),
        sa.Column("settle_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_by", sa.Text(), nullable=True),
        sa.Column("study_date", sa.Text(), nullable=True),
        sa.Column("accession_index", sa.LargeBinary(), nullable=True),
        sa.Column("study_uid_index", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("priority IN ('stat', 'routine')", name=op.f("ck_study_priority")),
        sa.CheckConstraint(
            "settled_by IN ('expected-count', 'quiet-time', 'operator')", name=op.f("ck_study_settled_by")
        ),
        sa.CheckConstraint(
            "state IN ('receiving', 'settled', 'analysing', 'reported', 'closed', 'quarantined', 'purged')",
            name=op.f("ck_study_state"),
        ),
        sa.ForeignKeyConstraint(["patient"], ["patient.pseudonym"], name="fk_study_patient"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_uid", name="uq_study_study_uid"),
    )
    op.create_index("ix_study_accession_index", "study", ["accession_index"], unique=False)
    op.create_index("ix_study_last_received_at", "study", ["last_received_at"], unique=False)
    op.create_index("ix_study_patient", "study", ["patient"], unique=False)
    op.create_index("ix_study_state_settle_at", "study", ["state", "settle_at"], unique=False)
    op.create_index("ix_study_study_uid_index", "study", ["study_uid_index"], unique=False)
    op.create_table(
        "vault_study",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("sealed_identity", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_vault_study_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_vault_study"),
    )
    op.create_table(
        "instance",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("blob_key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("received_from", sa.Text(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_instance_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint("blob_key", name="uq_instance_blob_key"),
        sa.UniqueConstraint(
            "study_id", "sop_instance_uid", "digest", name="uq_instance_study_id_sop_instance_uid_digest"
        ),
    )
    op.create_index(
        "ix_instance_current",
        "instance",
        ["study_id", "sop_instance_uid"],
        unique=True,
        sqlite_where=sa.text("is_current"),
        postgresql_where=sa.text("is_current"),
    )
    op.create_index("ix_instance_study_id_received_at", "instance", ["study_id", "received_at"], unique=False)
    op.create_table(
        "vault_instance",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("sealed_original_header", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name="fk_vault_instance_instance_id"),
        sa.PrimaryKeyConstraint("instance_id", name="pk_vault_instance"),
    )


def _work() -> None:
    op.create_table(
        "model",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("intended_use", sa.Text(), nullable=False),
        sa.Column("applies_to", sa.Text(), nullable=False),
        sa.Column("card_sha256", sa.Text(), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("announced_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('draft', 'shadow', 'active', 'retired')", name=op.f("ck_model_state")),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
    )
    op.create_index(
        "ix_model_active",
        "model",
        ["name"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("retried_at", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("priority IN ('stat', 'routine')", name=op.f("ck_task_priority")),
        sa.CheckConstraint(
            "state IN ('todo', 'doing', 'done', 'refused', 'failed', 'withdrawn')", name=op.f("ck_task_state")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_task_model_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_task_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_task"),
        sa.UniqueConstraint("study_id", "revision", "model_id", name="uq_task_study_id_revision_model_id"),
    )
    op.create_index("ix_task_state_priority_created_at", "task", ["state", "priority", "created_at"], unique=False)
    op.create_table(
        "finding",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("decided", sa.Text(), nullable=True),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_finding_study_id"),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name="fk_finding_task_id"),
        sa.PrimaryKeyConstraint("id", name="pk_finding"),
        sa.UniqueConstraint("task_id", name="uq_finding_task_id"),
    )
    op.create_index("ix_finding_study_id_revision", "finding", ["study_id", "revision"], unique=False)


def _reports() -> None:
    op.create_table(
        "report",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('registered', 'preliminary', 'cancelled', 'final', 'amended', 'corrected', "
            "'appended', 'entered-in-error')",
            name=op.f("ck_report_status"),
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_report_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
        sa.UniqueConstraint("study_id", name="uq_report_study_id"),
    )
    op.create_index("ix_report_updated_at_id", "report", ["updated_at", "id"], unique=False)
    op.create_table(
        "report_version",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('registered', 'preliminary', 'cancelled', 'final', 'amended', 'corrected', "
            "'appended', 'entered-in-error')",
            name=op.f("ck_report_version_status"),
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name="fk_report_version_report_id"),
        sa.PrimaryKeyConstraint("report_id", "version", name="pk_report_version"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("acknowledgement", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'acknowledged', 'superseded', 'dead')", name=op.f("ck_delivery_state")
        ),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name="fk_delivery_report_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("report_id", "version", "destination", name="uq_delivery_report_id_version_destination"),
    )
    op.create_index(
        "ix_delivery_destination_state_due_at", "delivery", ["destination", "state", "due_at"], unique=False
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
    )
    op.create_index("ix_audit_event_seq", "audit", ["event", "seq"], unique=False)
    op.create_index("ix_audit_subject_id_seq", "audit", ["subject_id", "seq"], unique=False)
