"""ID tokens by RS256: the key that signs them, sealed, and by which algorithm a client is told who has signed in.

A client of before goes on with ES256.
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault_id_token_key",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.add_column("client", sa.Column("id_token_alg", sa.Text(), nullable=True))
    op.execute("UPDATE client SET id_token_alg = 'ES256' WHERE kind = 'fhir'")


def downgrade() -> None:
    with op.batch_alter_table("client") as table:
        table.drop_column("id_token_alg")
    op.drop_table("vault_id_token_key")
