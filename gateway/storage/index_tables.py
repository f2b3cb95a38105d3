"""Tables of the search index over FHIR resources: keyed hashes of what resources say, newest first by key.

They are part of the vault and closed to workers. A row exists for current, undeleted resources alone. Hashes are
64-bit numbers under a key of each parameter; in clear stand clinical dates, numbers and names of things. Every
primary key begins with the parameter and what is searched and then has the resource's key, so that "newest first,
from here on" is one walk along the index; the second index finds the rows of one resource.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, PrimaryKeyConstraint, Table, Text

from gateway.storage.columns import metadata

# PostgreSQL compares text by the rules of a language unless told otherwise; beginnings are found by bytes
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, autoincrement=False)


def _table(name: str, leading: list[Column[Any]], order: tuple[str, ...]) -> Table:
    """An index table: parameter, what is searched, key; `order` is its primary key."""
    parameter = Column("parameter", Integer, nullable=False, autoincrement=False)
    return Table(
        f"vault_index_{name}",
        metadata,
        parameter,
        *leading,
        PrimaryKeyConstraint(*order),
        Index(None, "key", "parameter"),
        sqlite_with_rowid=False,
    )


index_resource = Table(
    "vault_index_resource",
    metadata,
    Column("type", Integer, nullable=False, autoincrement=False),
    _number("key"),
    _number("own"),  # the hash by which references name this resource
    _number("updated_at"),  # microseconds, as UtcTime keeps them
    PrimaryKeyConstraint("type", "key"),
    Index(None, "key"),
    Index(None, "own"),
    Index(None, "type", "updated_at", "key"),
    sqlite_with_rowid=False,
)
index_token = _table(
    "token", [_number("code"), _number("key"), _number("system")], ("parameter", "code", "key", "system")
)
index_reference = _table("reference", [_number("target"), _number("key")], ("parameter", "target", "key"))
index_date = _table("date", [_number("low"), _number("high"), _number("key")], ("parameter", "low", "high", "key"))
index_string = _table("string", [_number("hash"), _number("key")], ("parameter", "hash", "key"))
index_uri = _table("uri", [_number("hash"), _number("key")], ("parameter", "hash", "key"))
index_text = _table(
    "text",
    [
        Column("value", _BYTEWISE, nullable=False),
        _number("key"),
        Column("part", Integer, nullable=False, autoincrement=False),
        _number("exact"),
    ],
    ("parameter", "value", "key", "part", "exact"),
)
index_quantity = _table(
    "quantity",
    [
        _number("unit"),  # 0: the value as it was written; else the hash of the canonical unit
        Column("low", Double, nullable=False),
        Column("high", Double, nullable=False),
        _number("key"),
        _number("system"),
        _number("code"),
        _number("text"),
    ],
    ("parameter", "unit", "low", "key", "high", "system", "code", "text"),
)
index_composite = _table(
    "composite",
    [
        _number("code"),
        _number("unit"),
        Column("low", Double, nullable=False),
        Column("high", Double, nullable=False),
        _number("key"),
        _number("system"),
        _number("other_system"),
        _number("other_code"),
        _number("other_text"),
    ],
    ("parameter", "code", "unit", "low", "key", "high", "system", "other_system", "other_code", "other_text"),
)
BY_PARAMETER = (
    index_token,
    index_reference,
    index_date,
    index_string,
    index_uri,
    index_text,
    index_quantity,
    index_composite,
)
ALL = (index_resource, *BY_PARAMETER)
