"""A pass over the search index knows what it indexes by, so that it is not gone on with by something else."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("vault_reindex", sa.Column("fingerprint", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("vault_reindex") as table:
        table.drop_column("fingerprint")
