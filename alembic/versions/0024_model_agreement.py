"""Final reports that other systems send, what models had said beside them, and acceptance runs of models."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_OUTCOMES = "'agreed', 'disagreed', 'inconclusive', 'contradictory', 'uncoded', 'several-studies'"


def upgrade() -> None:
    _final_reports()
    op.create_table(
        "agreement",
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("finding_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("positive", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.Column("compared_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"outcome IN ({_OUTCOMES})", name="outcome"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_agreement_study_id"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_agreement_model_id"),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name="fk_agreement_finding_id"),
        sa.PrimaryKeyConstraint("study_id", "model_id", name="pk_agreement"),
    )
    op.create_index("ix_agreement_answered_at", "agreement", ["answered_at"])
    _acceptance()


def _acceptance() -> None:
    op.create_table(
        "acceptance",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "version", "sha256", "data_sha256")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("scored", "positive", "refused")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("auc", "sensitivity", "specificity")),
        sa.Column("worst_subgroup", sa.Text(), nullable=False),
        sa.Column("worst_auc", sa.Float(), nullable=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("limits", "missed", "verdict")),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.CheckConstraint("verdict IN ('passed', 'missed', 'measured')", name="verdict"),
        sa.PrimaryKeyConstraint("id", name="pk_acceptance"),
    )
    op.create_index("ix_acceptance_sha256", "acceptance", ["sha256"])


def _final_reports() -> None:
    op.create_table(
        "final_report",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["patient"], ["patient.pseudonym"], name="fk_final_report_patient"),
        sa.PrimaryKeyConstraint("key", name="pk_final_report"),
    )
    op.create_index("ix_final_report_patient", "final_report", ["patient"])
    op.create_table(
        "final_report_link",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("link", sa.LargeBinary(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('study', 'accession')", name="kind"),
        sa.ForeignKeyConstraint(["key"], ["final_report.key"], name="fk_final_report_link_key"),
        sa.PrimaryKeyConstraint("key", "kind", "link", name="pk_final_report_link"),
    )
    op.create_index("ix_final_report_link_link_patient_key", "final_report_link", ["link", "patient", "key"])


def downgrade() -> None:
    """What was accepted and compared is lost; the reports stay in the FHIR store."""
    op.drop_table("acceptance")
    op.drop_table("agreement")
    op.drop_table("final_report_link")
    op.drop_table("final_report")
