"""Statements that every arriving object runs, compiled once and handed straight to the driver.

SQLAlchemy builds a context, a cursor and a result for each execution: ten times what SQLite needs for the
statement itself. Here its compiler and its types are used once per dialect, and the driver for each execution.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine

from gateway.storage.array_literal import array_literal
from gateway.storage.round_trip import begins_with

Values = Mapping[str, Any]
Statement = Select[*tuple[Any, ...]] | Insert | Update | Delete
Convert = Callable[[Any], Any] | None


class Prepared:
    """A statement of fixed text; what is compiled for a dialect is kept for the life of the process.

    `sets` names the columns that an UPDATE takes from its values.
    """

    def __init__(self, statement: Statement | Callable[[Dialect], Statement], sets: Sequence[str] = ()) -> None:
        self._statement = statement
        self._sets = sets
        self._compiled: dict[str, Compiled] = {}

    def on(self, connection: Connection) -> Compiled:
        """As the connection's dialect writes it."""
        dialect = connection.dialect
        known = self._compiled.get(dialect.name)
        if known is None:
            statement = self._statement(dialect) if callable(self._statement) else self._statement
            known = self._compiled[dialect.name] = _compile(statement, dialect, self._sets)
        return known


def insert_new(table: Table) -> Prepared:
    """INSERT ... ON CONFLICT DO NOTHING: no row is counted where another holds a unique place."""

    def build(dialect: Dialect) -> Insert:
        if dialect.name == "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        return sqlite.insert(table).on_conflict_do_nothing()

    return Prepared(build)


def insert_rows(table: Table, *, gives_way: bool = False) -> Prepared:
    """An INSERT for `run_many`: one statement for all rows on PostgreSQL, one execution for each row on SQLite.

    `gives_way`: no row is counted where another holds a unique place.
    """

    def build(dialect: Dialect) -> Insert:
        if dialect.name != "postgresql":
            return sqlite.insert(table).on_conflict_do_nothing() if gives_way else insert(table)
        many = insert_lists(table, table.columns.keys())
        return many.on_conflict_do_nothing() if gives_way else many

    return Prepared(build)


def insert_lists(table: Table, names: Sequence[str]) -> postgresql.Insert:
    """PostgreSQL's INSERT of rows that come as one list for each column, the lists being named so."""
    columns = zip(names, table.columns, strict=True)
    lists = [bindparam(name, type_=ARRAY(column.type)) for name, column in columns]
    rows = func.unnest(*lists).table_valued(*table.columns.keys()).render_derived()
    return postgresql.insert(table).from_select(table.columns.keys(), select(rows))


def delete_rows(table: Table, name: str) -> Prepared:
    """A DELETE for `run_many`, by the values of one column, one execution for each."""
    return Prepared(delete(table).where(table.c[name] == bindparam(name)))


def listed(column: ColumnElement[Any], name: str, dialect: Dialect) -> ColumnElement[bool]:
    """Whether the column is in a list that is one parameter, so that the text does not depend on its length.

    SQLite takes a list as JSON.
    """
    if dialect.name == "postgresql":
        return column == func.any(bindparam(name, type_=ARRAY(column.type)))
    return column.in_(select(func.json_each(bindparam(name, type_=_JsonList())).table_valued("value").c.value))


class _JsonList(TypeDecorator[Sequence[Any]]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> str:
        return json.dumps(value)


@dataclass(frozen=True)
class Compiled:
    """Text, and how values go in and come out. `takes_lists`: one execution is for many rows."""

    text: str
    binds: tuple[tuple[str, Convert], ...]
    fixed: Values
    by_position: bool
    columns: tuple[Convert, ...]
    takes_lists: bool

    def run(self, connection: Connection, values: Values) -> Any:
        """The driver's cursor after the execution; DBAPIError as SQLAlchemy would raise it."""
        return self._guarded(connection, "execute", self._parameters(values))

    def send(self, connection: Connection, values: Values) -> None:
        """The same where nothing that comes back is wanted: within `one_round_trip` it is not waited for."""
        self._guarded(connection, "execute", self._parameters(values), kept=False)

    def run_many(self, connection: Connection, rows: Sequence[Values]) -> Any:
        """One execution for each row, or for all of them where the statement takes lists."""
        if self.takes_lists:
            return self.run(connection, {name: [row[name] for row in rows] for name, _ in self.binds})
        return self._guarded(connection, "executemany", [self._parameters(row) for row in rows])

    def row(self, raw: Sequence[Any]) -> tuple[Any, ...]:
        """A row of the driver's as values of the columns' types."""
        return tuple(
            value if convert is None else convert(value) for convert, value in zip(self.columns, raw, strict=True)
        )

    def _parameters(self, values: Values) -> Any:
        given = {**self.fixed, **values}
        if self.by_position:
            return [given[name] if convert is None else convert(given[name]) for name, convert in self.binds]
        return {name: given[name] if convert is None else convert(given[name]) for name, convert in self.binds}

    def _guarded(self, connection: Connection, method: str, parameters: Any, *, kept: bool = True) -> Any:
        dialect: Any = connection.dialect
        driver: Any = connection.connection.driver_connection
        cursor = _kept_cursor(connection, driver) if kept and not self.by_position else driver.cursor()
        try:
            if self.by_position or not begins_with(driver):
                getattr(cursor, method)(self.text, parameters)
            else:
                with driver.pipeline():
                    getattr(cursor, method)(self.text, parameters)
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, driver, cursor):
                connection.invalidate(error)  # else the pool would hand it out again
            raise DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from None
        return cursor


def _kept_cursor(connection: Connection, driver: Any) -> Any:
    """psycopg's cursor, made once for a connection: to make one takes a quarter of the time of a small statement.

    SQLite's costs nothing, and one that is kept would hold its last query open.
    """
    known = connection.info.get("cursor")
    if known is None:
        known = connection.info["cursor"] = driver.cursor()
    return known


def _compile(statement: Statement, dialect: Dialect, sets: Sequence[str]) -> Compiled:
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(sets) or None)
    by_position = bool(compiled.positional)
    kinds = {name: bind.type for bind, name in compiled.bind_names.items()}
    names = compiled.positiontup if by_position else list(kinds)
    binds = tuple((name, _bind(kinds[name], dialect)) for name in names)
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    columns: tuple[Convert, ...] = ()
    if isinstance(statement, Select):
        columns = tuple(_result(column.type, dialect) for column in statement.selected_columns)
    takes_lists = any(isinstance(kind, ARRAY) for kind in kinds.values())
    return Compiled(str(compiled), binds, fixed, by_position, columns, takes_lists)


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    if isinstance(kind, ARRAY):
        return array_literal(kind.item_type, dialect)
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
