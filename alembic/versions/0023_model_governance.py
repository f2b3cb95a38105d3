"""Models that were stopped, and approvals that wait for a second person."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_stop",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_model_stop_model_id"),
        sa.PrimaryKeyConstraint("model_id", name="pk_model_stop"),
    )
    op.create_table(
        "model_approval",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_model_approval_model_id"),
        sa.PrimaryKeyConstraint("model_id", name="pk_model_approval"),
    )


def downgrade() -> None:
    """A stopped model would run again, and what waits for it: `dxgate recall --mark` it first."""
    op.drop_table("model_approval")
    op.drop_table("model_stop")
