"""Records beside studies, models in the shadow, and who decided about a model."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_AGAIN = sa.text("again_at IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("study") as table:
        table.add_column(sa.Column("kind", sa.Text(), nullable=False, server_default="images"))
        table.add_column(sa.Column("again_at", sa.BigInteger(), nullable=True))
        table.create_check_constraint(op.f("ck_study_kind"), "kind IN ('images', 'record')")
    op.create_index("ix_study_again_at", "study", ["again_at"], sqlite_where=_AGAIN, postgresql_where=_AGAIN)
    op.add_column("task", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, kind in (("decided_by", sa.Text()), ("activated_at", sa.BigInteger()), ("needs", sa.Text())):
        op.add_column("model", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE model SET activated_at = announced_at WHERE state IN ('active', 'retired')")
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "record_input",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("blob_key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_record_input_study_id"),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_record_input_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_record_input"),
        sa.UniqueConstraint("blob_key", name="uq_record_input_blob_key"),
        sa.UniqueConstraint("study_id", "revision", "model_id", name="uq_record_input_study_id_revision_model_id"),
    )
    op.create_table(
        "vault_record_basis",
        sa.Column("input_id", sa.Text(), nullable=False),
        sa.Column("study_id", sa.Text(), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["input_id"], ["record_input.id"], name="fk_vault_record_basis_input_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_vault_record_basis_study_id"),
        sa.PrimaryKeyConstraint("input_id", name="pk_vault_record_basis"),
    )
    op.create_index("ix_vault_record_basis_study_id", "vault_record_basis", ["study_id"])


def downgrade() -> None:
    """The earlier release takes every study for images and every finding for one to report: neither may be left."""
    left = "SELECT (SELECT count(*) FROM study WHERE kind != 'images') + (SELECT count(*) FROM task WHERE shadow)"
    if op.get_bind().execute(sa.text(left)).scalar_one():
        raise RuntimeError("there are records or tasks in the shadow; the earlier release would report them")
    op.drop_table("vault_record_basis")
    op.drop_table("record_input")
    for name in ("needs", "activated_at", "decided_by"):
        op.drop_column("model", name)
    op.drop_column("task", "shadow")
    op.drop_index("ix_study_again_at", table_name="study")
    with op.batch_alter_table("study") as table:
        table.drop_constraint(op.f("ck_study_kind"), type_="check")
        table.drop_column("again_at")
        table.drop_column("kind")
