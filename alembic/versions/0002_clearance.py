"""Objects are checked before a model reads them; searches of pixels; erased patients; the privacy officer."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CLEARANCES = ("unchecked", "cleared", "masking", "held", "quarantined", "rejected")
_PIXELS = ("unsearched", "exempt", "clean", "masked", "released")
_NEW_COLUMNS = (
    "clearance",
    "clearance_reason",
    "pixels",
    "deidentification",
    "content_digest",
    "removed_pixels_key",
    "checked_at",
)
_UNCLEARED = sa.text("clearance != 'cleared'")


def upgrade() -> None:
    """What was stored before has never passed the checker, so it is `unchecked` and the checker will look at it."""
    op.add_column("patient", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    op.add_column("patient", sa.Column("files_deleted_at", sa.BigInteger(), nullable=True))
    _clear_instances()
    _search_pixels()
    op.create_table(
        "vault_quota",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("actor", "window_start", name="pk_vault_quota"),
    )
    _set_roles("'admin', 'auditor', 'physician', 'privacy-officer'")


def downgrade() -> None:
    """An object that is not cleared stays in the table, and an earlier release would read it: none may be left."""
    left = op.get_bind().execute(sa.text("SELECT count(*) FROM instance WHERE clearance != 'cleared'")).scalar_one()
    if left:
        raise RuntimeError(f"{left} objects are not cleared; the earlier release would let models read them")
    op.execute("UPDATE person SET role = 'auditor' WHERE role = 'privacy-officer'")
    _set_roles("'admin', 'auditor', 'physician'")
    op.drop_table("vault_quota")
    op.drop_table("pixel_task")
    op.drop_index("ix_instance_uncleared", table_name="instance")
    with op.batch_alter_table("instance") as table:
        table.drop_constraint(op.f("ck_instance_clearance"), type_="check")
        table.drop_constraint(op.f("ck_instance_pixels"), type_="check")
        for name in _NEW_COLUMNS:
            table.drop_column(name)
    op.drop_column("patient", "files_deleted_at")
    op.drop_column("patient", "erased_at")


def _clear_instances() -> None:
    with op.batch_alter_table("instance") as table:
        table.add_column(sa.Column("clearance", sa.Text(), nullable=False, server_default="unchecked"))
        table.add_column(sa.Column("clearance_reason", sa.Text(), nullable=True))
        table.add_column(sa.Column("pixels", sa.Text(), nullable=False, server_default="unsearched"))
        table.add_column(sa.Column("deidentification", sa.Text(), nullable=True))
        table.add_column(sa.Column("content_digest", sa.LargeBinary(), nullable=True))
        table.add_column(sa.Column("removed_pixels_key", sa.Text(), nullable=True))
        table.add_column(sa.Column("checked_at", sa.BigInteger(), nullable=True))
        table.create_check_constraint(op.f("ck_instance_clearance"), f"clearance IN {_CLEARANCES}")
        table.create_check_constraint(op.f("ck_instance_pixels"), f"pixels IN {_PIXELS}")
    with op.batch_alter_table("instance") as table:
        table.alter_column("clearance", server_default=None)
        table.alter_column("pixels", server_default=None)
    op.create_index(
        "ix_instance_uncleared",
        "instance",
        ["clearance", "received_at"],
        sqlite_where=_UNCLEARED,
        postgresql_where=_UNCLEARED,
    )


def _search_pixels() -> None:
    op.create_table(
        "pixel_task",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("published_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("retried_at", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        sa.Column("preview_key", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('todo', 'doing', 'done', 'failed', 'withdrawn')", name=op.f("ck_pixel_task_state")
        ),
        sa.CheckConstraint("priority IN ('stat', 'routine')", name=op.f("ck_pixel_task_priority")),
        sa.ForeignKeyConstraint(["id"], ["instance.id"], name="fk_pixel_task_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_pixel_task_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_pixel_task"),
    )
    op.create_index("ix_pixel_task_state_priority_created_at", "pixel_task", ["state", "priority", "created_at"])
    op.create_index("ix_pixel_task_study_id", "pixel_task", ["study_id"])


def _set_roles(listed: str) -> None:
    with op.batch_alter_table("person") as table:
        table.drop_constraint(op.f("ck_person_role"), type_="check")
        table.create_check_constraint(op.f("ck_person_role"), f"role IN ({listed})")
