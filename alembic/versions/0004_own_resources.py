"""Which resources of the FHIR store the gateway itself has written."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("vault_resource", sa.Column("ours", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """The earlier release lets clients change what the gateway has written."""
    op.drop_column("vault_resource", "ours")
