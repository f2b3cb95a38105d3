"""Rows of all tables of the search index, written and deleted with their resources.

PostgreSQL takes them in one statement, whose parts are the statements of the tables (PostgreSQL, "Data-Modifying
Statements in WITH"): a resource has rows in seven tables, and each would cost a round trip of its own. Tables for which
there is nothing get empty lists, so that the text is always the same. SQLite is in the same process and takes them
table by table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Delete, Insert, Table, bindparam, delete, func

from gateway.storage import index_tables as tables
from gateway.storage.index_rows import Row
from gateway.storage.prepared import Prepared, delete_rows, insert_lists, insert_rows
from gateway.storage.transaction import Transaction


def insert_all(transaction: Transaction, rows: Mapping[Table, Set[Row]]) -> None:
    """In the order of their keys, so that two writers meet every index in the same order."""
    if not transaction.is_postgresql:
        for table, found in rows.items():
            names = table.columns.keys()
            transaction.run_many(_INSERT[table], [dict(zip(names, row, strict=True)) for row in sorted(found)])
        return
    lists: dict[str, Sequence[Any]] = {}
    for table in tables.ALL:
        columns = list(zip(*sorted(rows.get(table, ())), strict=True)) or [()] * len(table.columns)
        lists |= zip(_names(table), columns, strict=True)
    transaction.run(_INSERT_ALL, lists)


def delete_all(transaction: Transaction, keys: Sequence[int]) -> None:
    """Every row of these resources."""
    if transaction.is_postgresql:
        transaction.run(_DELETE_ALL, {"keys": keys})
        return
    for statement in _DELETE.values():
        transaction.run_many(statement, [{"key": key} for key in keys])


def _names(table: Table) -> list[str]:
    """Short, because the driver reads a text of more than 4,096 characters anew each time."""
    place = tables.ALL.index(table)
    return [f"{place}_{column}" for column in range(len(table.columns))]


def _insert_all() -> Insert:
    *others, last = [insert_lists(table, _names(table)) for table in tables.ALL]
    return last.add_cte(*(each.cte(f"part_{place}") for place, each in enumerate(others)))


def _delete_all() -> Delete:
    keys = bindparam("keys", type_=ARRAY(BigInteger))
    *others, last = [delete(table).where(table.c.key == func.any(keys)) for table in tables.ALL]
    return last.add_cte(*(each.cte(f"part_{place}") for place, each in enumerate(others)))


_INSERT = {table: insert_rows(table) for table in tables.ALL}
_DELETE = {table: delete_rows(table, "key") for table in tables.ALL}
_INSERT_ALL = Prepared(lambda _: _insert_all())
_DELETE_ALL = Prepared(lambda _: _delete_all())
