"""Jobs know what they were begun with, so that what was taken back ends them, and how often they failed in a row."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("vault_bulk_job", sa.Column("grant_hash", sa.LargeBinary(), nullable=True))
    op.add_column("vault_bulk_job", sa.Column("chain", sa.Text(), nullable=True))
    op.add_column("vault_bulk_job", sa.Column("revoked_at", sa.BigInteger(), nullable=True))
    op.add_column("vault_bulk_job", sa.Column("failures", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Open jobs whose grant was taken back are ended first: the release before would carry them out."""
    op.execute(
        "UPDATE vault_bulk_job SET state = 'cancelled', lease_until = NULL "
        "WHERE state = 'accepted' AND revoked_at IS NOT NULL"
    )
    with op.batch_alter_table("vault_bulk_job") as table:
        for name in ("failures", "revoked_at", "chain", "grant_hash"):
            table.drop_column(name)
