"""Found resources in an order, from a place on: sort keys as SQL, and the condition that begins a page behind it.

A page is found by where the last one ended and not by counting, so that it costs the same anywhere and nothing is
shown twice or left out while others write (R4 3.1.1.5.1, 3.1.1.5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Float, FromClause, Select, Text, and_, collate, func, literal, or_, select

from gateway.domain.criterion import Order, Place
from gateway.storage import index_tables as tables
from gateway.storage.fhir_tables import vault_resource
from gateway.storage.index_rows import RAW

_LAST, _FIRST = 1 << 62, -(1 << 62)  # where a resource without a value stands: at the end of either direction
_LAST_NUMBER = float("inf")
_LAST_TEXT = chr(0x10FFFF)


def ordered(keys: Select[tuple[int]], order: Sequence[Order], after: Place | None, is_postgresql: bool) -> Select[Any]:
    """`keys` selects from an alias of index_resource; the result has a column for each sort key, then the key."""
    (row,) = keys.get_final_froms()
    if not order:
        behind = keys if after is None else keys.where(row.c.key < after.key)
        return behind.order_by(row.c.key.desc())
    values = [_value(each, row, is_postgresql).label(f"value_{number}") for number, each in enumerate(order)]
    found = keys.with_only_columns(*values, row.c.key).subquery("ordered")
    columns = [_compared(found.c[f"value_{number}"], is_postgresql) for number in range(len(order))]
    result = select(*found.c)
    if after is not None:
        result = result.where(_behind(order, columns, found.c.key, after))
    directions = [
        column.desc() if each.descending else column.asc() for each, column in zip(order, columns, strict=True)
    ]
    return result.order_by(*directions, found.c.key.desc())


def _behind(
    order: Sequence[Order], columns: Sequence[ColumnElement[Any]], key: ColumnElement[int], after: Place
) -> ColumnElement[bool]:
    """Greater in the first sort key, or equal there and greater in the next, and so on; at last a lower key."""
    steps: list[ColumnElement[bool]] = []
    equal: list[ColumnElement[bool]] = []
    for each, column, value in zip(order, columns, after.values, strict=True):
        steps.append(and_(*equal, column < value if each.descending else column > value))
        equal.append(column == value)
    return or_(*steps, and_(*equal, key < after.key))


def _value(order: Order, row: FromClause, is_postgresql: bool) -> ColumnElement[Any]:
    parameter = order.parameter
    if parameter.code == "_lastUpdated":
        return row.c.updated_at + literal(0)
    if parameter.code == "_id":
        resource = vault_resource.alias()
        return select(resource.c.id).where(resource.c.key == row.c.key).correlate(row).scalar_subquery()
    table, column, last = _source(order)
    extreme = func.max(column) if order.descending else func.min(column)
    found = select(extreme).where(table.c.key == row.c.key, table.c.parameter == parameter.number)
    if parameter.kind == "string":
        found = found.where(table.c.part == 0)
    elif parameter.kind != "date":
        found = found.where(table.c.unit == RAW)
    return func.coalesce(found.correlate(row).scalar_subquery(), last)


def _source(order: Order) -> tuple[FromClause, ColumnElement[Any], ColumnElement[Any]]:
    """Table, column, and what stands for no value."""
    if order.parameter.kind == "date":
        dates = tables.index_date.alias()
        return dates, dates.c.low, literal(_FIRST if order.descending else _LAST)
    if order.parameter.kind == "string":
        texts = tables.index_text.alias()
        return texts, texts.c.value, literal("" if order.descending else _LAST_TEXT, Text)
    amounts = tables.index_quantity.alias()
    return amounts, amounts.c.low, literal(-_LAST_NUMBER if order.descending else _LAST_NUMBER, Float(53))


def _compared(column: ColumnElement[Any], is_postgresql: bool) -> ColumnElement[Any]:
    """Text by its bytes, as SQLite compares it anyway."""
    return collate(column, "C") if is_postgresql and isinstance(column.type, Text) else column
