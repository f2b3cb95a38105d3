"""The search index over FHIR resources: one table for each kind of value, and the resources themselves."""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TABLES = {
    "token": (("code", "key", "system"), ("parameter", "code", "key", "system")),
    "reference": (("target", "key"), ("parameter", "target", "key")),
    "date": (("low", "high", "key"), ("parameter", "low", "high", "key")),
    "string": (("hash", "key"), ("parameter", "hash", "key")),
    "uri": (("hash", "key"), ("parameter", "hash", "key")),
    "text": (("value", "key", "part", "exact"), ("parameter", "value", "key", "part", "exact")),
    "quantity": (
        ("unit", "low", "high", "key", "system", "code", "text"),
        ("parameter", "unit", "low", "key", "high", "system", "code", "text"),
    ),
    "composite": (
        ("code", "unit", "low", "high", "key", "system", "other_system", "other_code", "other_text"),
        ("parameter", "code", "unit", "low", "key", "high", "system", "other_system", "other_code", "other_text"),
    ),
}
_KINDS = {"parameter": sa.Integer(), "part": sa.Integer(), "value": _BYTEWISE}
_RANGES = {"quantity": sa.Double(), "composite": sa.Double()}


def _column(table: str, name: str) -> sa.Column[object]:
    kind = _RANGES.get(table, sa.BigInteger()) if name in ("low", "high") else _KINDS.get(name, sa.BigInteger())
    return sa.Column(name, kind, nullable=False, autoincrement=False if isinstance(kind, sa.Integer) else "auto")


def upgrade() -> None:
    op.create_table(
        "vault_index_resource",
        sa.Column("type", sa.Integer(), nullable=False, autoincrement=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)
            for name in ("key", "own", "updated_at")
        ),
        sa.PrimaryKeyConstraint("type", "key", name="pk_vault_index_resource"),
        sqlite_with_rowid=False,
    )
    for columns in (["key"], ["own"], ["type", "updated_at", "key"]):
        op.create_index(f"ix_vault_index_resource_{'_'.join(columns)}", "vault_index_resource", columns)
    for name, (columns, order) in _TABLES.items():
        table = f"vault_index_{name}"
        op.create_table(
            table,
            *(_column(name, each) for each in ("parameter", *columns)),
            sa.PrimaryKeyConstraint(*order, name=f"pk_{table}"),
            sqlite_with_rowid=False,
        )
        op.create_index(f"ix_{table}_key_parameter", table, ["key", "parameter"])


def downgrade() -> None:
    """The index holds nothing that the resources do not say."""
    for name in reversed(_TABLES):
        op.drop_table(f"vault_index_{name}")
    op.drop_table("vault_index_resource")
