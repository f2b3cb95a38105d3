"""Reviews of reports, recalled models, who a person is on a signed report, and the order of a patient's deliveries."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('pending', 'sending')")
_WAITING = sa.text("status = 'preliminary'")


def upgrade() -> None:
    for name in ("display_name", "qualification", "identifier"):
        op.add_column("person", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("delivery", sa.Column("patient", sa.Text(), nullable=False, server_default=""))
    op.add_column("delivery", sa.Column("planned_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE delivery SET patient = (SELECT study.patient FROM report JOIN study ON study.id = report.study_id "
        "WHERE report.id = delivery.report_id), planned_at = (SELECT report_version.created_at FROM report_version "
        "WHERE report_version.report_id = delivery.report_id AND report_version.version = delivery.version)"
    )
    op.create_index(
        "ix_delivery_open", "delivery", ["destination", "patient"], sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("ix_report_waiting", "report", ["updated_at"], sqlite_where=_WAITING, postgresql_where=_WAITING)
    op.create_table(
        "review",
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("base_at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('accept', 'amend', 'correct', 'append', 'reject', 'retract')", name=op.f("ck_review_outcome")
        ),
        sa.CheckConstraint("verdict IN ('as-is', 'changed', 'rejected')", name=op.f("ck_review_verdict")),
        sa.ForeignKeyConstraint(
            ["report_id", "version"],
            ["report_version.report_id", "report_version.version"],
            name="fk_review_report_id_version",
        ),
        sa.PrimaryKeyConstraint("report_id", "version", name="pk_review"),
    )
    op.create_index("ix_review_at", "review", ["at"])
    op.create_table(
        "recall",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_recall_model_id"),
        sa.PrimaryKeyConstraint("model_id", name="pk_recall"),
    )


def downgrade() -> None:
    """Signed versions stay; who signed them, and which models were recalled, goes: back up the database first."""
    op.drop_table("recall")
    op.drop_table("review")
    op.drop_index("ix_report_waiting", "report")
    op.drop_index("ix_delivery_open", "delivery")
    op.drop_column("delivery", "planned_at")
    op.drop_column("delivery", "patient")
    for name in ("identifier", "qualification", "display_name"):
        op.drop_column("person", name)
