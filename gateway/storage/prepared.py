"""Statements that every arriving object runs, compiled once and handed straight to SQLite's driver or to libpq.

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
from gateway.storage.libpq import Question, ask

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
        known = self._compiled.get(connection.dialect.name)
        if known is None:
            dialect = _numbering(connection.dialect)
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
    columns: tuple[Convert, ...]
    takes_lists: bool

    def run(self, connection: Connection, values: Values, before: Sequence[Question] = ()) -> Any:
        """What the driver's cursor holds after the execution; DBAPIError as SQLAlchemy would raise it.

        `before` goes to PostgreSQL in the same round trip, and none of what comes back of it is wanted.
        """
        question = self.question(values)
        if connection.dialect.name == "postgresql":
            return ask(connection, [*before, question])[-1]
        return _executed(connection, "execute", self.text, question.values)

    def run_many(self, connection: Connection, rows: Sequence[Values]) -> int:
        """The count of rows that all executions have written."""
        if not rows:
            return 0
        questions = self.questions(rows)
        if connection.dialect.name == "postgresql":
            return sum(answer.rowcount for answer in ask(connection, questions))
        return int(_executed(connection, "executemany", self.text, [each.values for each in questions]).rowcount)

    def questions(self, rows: Sequence[Values]) -> list[Question]:
        """One execution for each row, or for all of them where the statement takes lists."""
        if self.takes_lists:
            return [self.question({name: [row[name] for row in rows] for name, _ in self.binds})]
        return [self.question(row) for row in rows]

    def question(self, values: Values) -> Question:
        """The statement with its values as the driver takes them."""
        given = {**self.fixed, **values}
        return Question(
            self.text, [given[name] if convert is None else convert(given[name]) for name, convert in self.binds]
        )

    def row(self, raw: Sequence[Any]) -> tuple[Any, ...]:
        """A row of the driver's as values of the columns' types."""
        return tuple(
            value if convert is None else convert(value) for convert, value in zip(self.columns, raw, strict=True)
        )


def _executed(connection: Connection, method: str, text: str, parameters: Any) -> Any:
    dialect: Any = connection.dialect
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor()
    try:
        getattr(cursor, method)(text, parameters)
    except dialect.loaded_dbapi.Error as error:
        raise DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error) from None
    return cursor


def _compile(statement: Statement, dialect: Dialect, sets: Sequence[str]) -> Compiled:
    compiled: Any = statement.compile(dialect=dialect, column_keys=list(sets) or None)
    kinds = {name: bind.type for bind, name in compiled.bind_names.items()}
    binds = tuple((name, _bind(kinds[name], dialect)) for name in compiled.positiontup)
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    columns: tuple[Convert, ...] = ()
    if isinstance(statement, Select):
        columns = tuple(_result(column.type, dialect) for column in statement.selected_columns)
    takes_lists = any(isinstance(kind, ARRAY) for kind in kinds.values())
    return Compiled(str(compiled), binds, fixed, columns, takes_lists)


def _numbering(dialect: Dialect) -> Dialect:
    """libpq has places for values, `$1`, and no names."""
    if dialect.name != "postgresql":
        return dialect
    kind: type[Any] = type(dialect)
    numbering: Dialect = kind(paramstyle="numeric_dollar")
    return numbering


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    if isinstance(kind, ARRAY):
        return array_literal(kind.item_type, dialect)
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
