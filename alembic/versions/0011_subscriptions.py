"""Subscriptions and their events; bulk jobs and their files."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def _must(name: str, kind: sa.types.TypeEngine[object]) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    op.create_table(
        "vault_subscription",
        _must("id", sa.Text()),
        _must("key", sa.BigInteger()),
        _must("version", sa.Integer()),
        _must("state", sa.Text()),
        _must("greeted", sa.Boolean()),
        _must("endpoint", sa.LargeBinary()),
        _must("numbered", sa.BigInteger()),
        _must("sent", sa.BigInteger()),
        _must("failures", sa.Integer()),
        _must("attempt", sa.Integer()),
        _must("due_at", sa.BigInteger()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("heartbeat_at", sa.BigInteger()),
        sa.Column("ends_at", sa.BigInteger()),
        sa.Column("last_error", sa.Text()),
        sa.CheckConstraint(
            "state IN ('requested', 'active', 'error', 'off')", name=op.f("ck_vault_subscription_state")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vault_subscription"),
    )
    op.create_table(
        "vault_subscription_event",
        _must("id", sa.Text()),
        _must("subscription", sa.Text()),
        sa.Column("number", sa.BigInteger()),
        _must("at", sa.BigInteger()),
        _must("part", sa.Integer()),
        _must("method", sa.Text()),
        _must("type", sa.Text()),
        _must("focus", sa.Text()),
        _must("version", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["subscription"], ["vault_subscription.id"], name="fk_vault_subscription_event_subscription"
        ),
        sa.UniqueConstraint("subscription", "number", name="uq_vault_subscription_event_subscription_number"),
        sa.PrimaryKeyConstraint("id", name="pk_vault_subscription_event"),
    )
    op.create_index("ix_vault_subscription_event_subscription_at", "vault_subscription_event", ["subscription", "at"])
    op.create_table(
        "vault_bulk_job",
        _must("id", sa.Text()),
        _must("kind", sa.Text()),
        _must("client", sa.Text()),
        _must("state", sa.Text()),
        _must("attempt", sa.Integer()),
        _must("step", sa.Integer()),
        _must("sealed", sa.LargeBinary()),
        _must("created_at", sa.BigInteger()),
        _must("due_at", sa.BigInteger()),
        sa.Column("lease_until", sa.BigInteger()),
        _must("expires_at", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.CheckConstraint("kind IN ('export', 'import')", name=op.f("ck_vault_bulk_job_kind")),
        sa.CheckConstraint(
            "state IN ('accepted', 'done', 'failed', 'cancelled', 'expired')", name=op.f("ck_vault_bulk_job_state")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vault_bulk_job"),
    )
    op.create_table(
        "vault_bulk_file",
        _must("blob_key", sa.Text()),
        _must("job", sa.Text()),
        _must("part", sa.Integer()),
        _must("role", sa.Text()),
        _must("type", sa.Text()),
        _must("count", sa.Integer()),
        sa.Column("source", sa.Text()),
        sa.CheckConstraint("role IN ('output', 'error', 'input')", name=op.f("ck_vault_bulk_file_role")),
        sa.ForeignKeyConstraint(["job"], ["vault_bulk_job.id"], name="fk_vault_bulk_file_job"),
        sa.PrimaryKeyConstraint("blob_key", name="pk_vault_bulk_file"),
    )
    op.create_index("ix_vault_bulk_file_job", "vault_bulk_file", ["job"])


def downgrade() -> None:
    """Subscribers keep what was sent; what waits is lost, as the release before has no subscriptions."""
    op.drop_table("vault_bulk_file")
    op.drop_table("vault_bulk_job")
    op.drop_table("vault_subscription_event")
    op.drop_table("vault_subscription")
