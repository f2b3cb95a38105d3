"""Statements that every arriving object runs, compiled once and handed straight to the driver.

SQLAlchemy builds a context, a cursor and a result for each execution: ten times what SQLite needs for the
statement itself. Here its compiler and its types are used once per dialect, and the driver for each execution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Table, Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

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


@dataclass(frozen=True)
class Compiled:
    """Text, and how values go in and come out."""

    text: str
    is_dml: bool
    binds: tuple[tuple[str, Convert], ...]
    fixed: Values
    by_position: bool
    columns: tuple[Convert, ...]

    def run(self, connection: Connection, values: Values) -> Any:
        """The driver's cursor after the execution; DBAPIError as SQLAlchemy would raise it."""
        return self._guarded(connection, "execute", self._parameters(values))

    def run_many(self, connection: Connection, rows: Sequence[Values]) -> Any:
        """One execution for each row."""
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

    def _guarded(self, connection: Connection, method: str, parameters: Any) -> Any:
        module: Any = connection.dialect.loaded_dbapi
        cursor = connection.connection.driver_connection.cursor()  # type: ignore[union-attr]
        try:
            getattr(cursor, method)(self.text, parameters)
        except module.Error as error:
            raise DBAPIError.instance(None, None, error, module.Error) from None
        return cursor


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
    return Compiled(str(compiled), not isinstance(statement, Select), binds, fixed, by_position, columns)


def _bind(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
