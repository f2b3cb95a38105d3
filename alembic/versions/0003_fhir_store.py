"""The store of FHIR resources: one row for each resource, one for each version."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault_resource",
        sa.Column("key", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["patient.pseudonym"], name="fk_vault_resource_owner"),
        sa.PrimaryKeyConstraint("key", name="pk_vault_resource"),
        sa.UniqueConstraint("type", "id", name="uq_vault_resource_type_id"),
    )
    op.create_index("ix_vault_resource_owner", "vault_resource", ["owner"])
    op.create_index("ix_vault_resource_type_updated_at", "vault_resource", ["type", "updated_at"])
    op.create_table(
        "vault_resource_version",
        sa.Column("key", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "method IN ('POST', 'PUT', 'PATCH', 'DELETE')", name=op.f("ck_vault_resource_version_method")
        ),
        sa.ForeignKeyConstraint(["key"], ["vault_resource.key"], name="fk_vault_resource_version_key"),
        sa.PrimaryKeyConstraint("key", "version", name="pk_vault_resource_version"),
    )
    op.create_index("ix_vault_resource_version_at", "vault_resource_version", ["at"])


def downgrade() -> None:
    """The earlier release knows no resources that others wrote, and they go: back up the database first."""
    op.drop_table("vault_resource_version")
    op.drop_table("vault_resource")
