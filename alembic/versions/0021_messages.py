"""FHIR messages that were processed, by keyed hash, so that one which comes again is not applied twice."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault_message",
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("bundle", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "message", name="pk_vault_message"),
        sa.UniqueConstraint("client", "bundle", name="uq_vault_message_client_bundle"),
    )
    op.create_index("ix_vault_message_at", "vault_message", ["at"])


def downgrade() -> None:
    """A message that comes again is applied again."""
    op.drop_table("vault_message")
