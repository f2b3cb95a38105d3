"""Requests that are answered later: a kind of job, and what became of the entries of a Bundle."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _set_kinds("kind IN ('export', 'import', 'request')")
    op.create_table(
        "vault_bulk_answer",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["vault_bulk_job.id"], name="fk_vault_bulk_answer_job"),
        sa.PrimaryKeyConstraint("job", "place", name="pk_vault_bulk_answer"),
    )


def downgrade() -> None:
    """Requests go, answered or not; their files are orphans then, which the daily sweep deletes."""
    op.drop_table("vault_bulk_answer")
    op.execute("DELETE FROM vault_bulk_file WHERE job IN (SELECT id FROM vault_bulk_job WHERE kind = 'request')")
    op.execute("DELETE FROM vault_bulk_job WHERE kind = 'request'")
    _set_kinds("kind IN ('export', 'import')")


def _set_kinds(condition: str) -> None:
    with op.batch_alter_table("vault_bulk_job") as table:
        table.drop_constraint(op.f("ck_vault_bulk_job_kind"), type_="check")
        table.create_check_constraint(op.f("ck_vault_bulk_job_kind"), condition)
