"""Conditions that name codes or identifiers, as prepared statements: nearly every conditional write asks so.

`If-None-Exist: identifier=...` is asked twice for each write, before it and under its lock; to write its SQL anew each
time took longer than to answer it. Every other condition goes the way of a search (index_select.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import Dialect, Select, bindparam, select

from gateway.domain.criterion import Criterion, TokenWanted, Wanted
from gateway.storage import index_tables as tables
from gateway.storage.index_hash import IndexHash
from gateway.storage.index_select import COARSE, among, type_number
from gateway.storage.prepared import Prepared, Values

_MOST = 4  # criteria: a statement is kept for each combination of them with and without system


def token_question(
    kind: str, criteria: Sequence[Criterion], limit: int, hashed: IndexHash
) -> tuple[Prepared, Values] | None:
    """Keys of the resources of a type that fit, newest first; None where it is not about single codes alone."""
    tokens = [_token(each) for each in criteria]
    values: dict[str, int] = {"of_type": type_number(kind), "most": limit}
    systems: list[bool] = []
    for place, named in enumerate(tokens):
        if named is None or place == _MOST:
            return None
        (name, number), token = named
        values |= {f"parameter_{place}": number, f"code_{place}": hashed(name, str(token.code))}
        if token.system is not None:
            values[f"system_{place}"] = hashed(name, token.system)
        systems.append(token.system is not None)
    return _statement(tuple(systems)), values


def _token(criterion: Criterion) -> tuple[tuple[str, int], TokenWanted] | None:
    """Name and number of the parameter, and the one code that is asked for."""
    if not isinstance(criterion, Wanted) or criterion.modifier or len(criterion.values) != 1:
        return None
    (value,) = criterion.values
    parameter = criterion.parameter
    if parameter.kind != "token" or parameter.code == "_id" or parameter.code in COARSE:
        return None
    if not isinstance(value, TokenWanted) or not value.code:
        return None
    return (parameter.name, parameter.number), value


@cache
def _statement(systems: tuple[bool, ...]) -> Prepared:
    """Resources that have all of so many codes; True where the code's system counts too."""

    def build(dialect: Dialect) -> Select[tuple[int]]:
        row = tables.index_resource.alias("found")
        found = select(row.c.key).where(row.c.type == bindparam("of_type"))
        for place, has_system in enumerate(systems):
            token = tables.index_token.alias()
            keys = select(token.c.key).where(
                token.c.parameter == bindparam(f"parameter_{place}"), token.c.code == bindparam(f"code_{place}")
            )
            if has_system:
                keys = keys.where(token.c.system == bindparam(f"system_{place}"))
            found = found.where(among(keys, row, listed=dialect.name != "postgresql"))
        return found.order_by(row.c.key.desc()).limit(bindparam("most"))

    return Prepared(build)
