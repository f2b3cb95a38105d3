"""Where an app is launched from the console (SMART App Launch 2.2, 2: EHR launch)."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("client", sa.Column("launch", sa.Text(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("client") as table:
        table.drop_column("launch")
