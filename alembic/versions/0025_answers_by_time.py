"""Findings and tasks by time: reports of a month and rules that stop read a time, not all years."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_finding_created_at", "finding", ["created_at"])
    op.create_index("ix_task_created_at", "task", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_task_created_at", "task")
    op.drop_index("ix_finding_created_at", "finding")
