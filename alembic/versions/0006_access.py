"""Client keys and certificates, accounts of identity providers, bound and chained grants, words of the audit trail."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_GRANTS = "kind IN ('token', 'session', 'refresh', 'code')"
_FORMER_GRANTS = "kind IN ('token', 'session')"


def upgrade() -> None:
    op.add_column("client", sa.Column("jwks", sa.Text(), nullable=True))
    op.add_column("client", sa.Column("jwks_url", sa.Text(), nullable=True))
    _add_filled("client", "certificates", "[]")
    _add_filled("client", "redirects", "[]")
    with op.batch_alter_table("person") as table:
        table.add_column(sa.Column("issuer", sa.Text(), nullable=True))
        table.add_column(sa.Column("subject", sa.Text(), nullable=True))
        table.create_unique_constraint(op.f("uq_person_issuer_subject"), ["issuer", "subject"])
    for name in ("person", "certificate", "chain"):
        op.add_column("access_grant", sa.Column(name, sa.Text(), nullable=True))
    _add_filled("access_grant", "asked", "{}")
    _set_grants(_GRANTS)
    op.create_index("ix_access_grant_chain", "access_grant", ["chain"])
    op.create_table(
        "used_assertion",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_assertion"),
    )
    op.create_index("ix_used_assertion_expires_at", "used_assertion", ["expires_at"])
    op.create_table(
        "audit_word",
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("word", "seq", name="pk_audit_word"),
    )
    op.create_index("ix_audit_actor_seq", "audit", ["actor", "seq"])
    op.create_index("ix_audit_at", "audit", ["at"])


def downgrade() -> None:
    """Clients that have no secret and people without a password cannot come in under the earlier release."""
    op.drop_index("ix_audit_at", table_name="audit")
    op.drop_index("ix_audit_actor_seq", table_name="audit")
    op.drop_table("audit_word")
    op.drop_table("used_assertion")
    op.execute("DELETE FROM access_grant WHERE kind IN ('refresh', 'code') OR person IS NOT NULL")
    op.drop_index("ix_access_grant_chain", table_name="access_grant")
    _set_grants(_FORMER_GRANTS)
    for name in ("person", "certificate", "chain", "asked"):
        op.drop_column("access_grant", name)
    op.execute("UPDATE person SET active = false WHERE issuer IS NOT NULL")
    with op.batch_alter_table("person") as table:
        table.drop_constraint(op.f("uq_person_issuer_subject"), type_="unique")
        table.drop_column("subject")
        table.drop_column("issuer")
    for name in ("jwks", "jwks_url", "certificates", "redirects"):
        op.drop_column("client", name)


def _add_filled(table_name: str, column: str, text: str) -> None:
    """A column that must not be empty, with `text` in the rows that are there."""
    with op.batch_alter_table(table_name) as table:
        table.add_column(sa.Column(column, sa.Text(), nullable=False, server_default=text))
    with op.batch_alter_table(table_name) as table:
        table.alter_column(column, server_default=None)


def _set_grants(condition: str) -> None:
    with op.batch_alter_table("access_grant") as table:
        table.drop_constraint(op.f("ck_access_grant_kind"), type_="check")
        table.create_check_constraint(op.f("ck_access_grant_kind"), condition)
