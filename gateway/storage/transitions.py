"""The one statement by which a state changes: guarded by the state it was in, with its audit row (law 3).

Whatever moves a study, task, delivery or report goes through `move`, which takes the target from the state table;
a move that is not in the table is a Conflict before it reaches the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, bindparam, update

from gateway.domain.lifecycle import DELIVERY, INSTANCE, PIXEL_TASK, REPORT, STUDY, TASK, Lifecycle
from gateway.storage import tables
from gateway.storage.prepared import Prepared
from gateway.storage.transaction import Transaction

_WHERE_IT_STANDS: dict[str, tuple[Table, Column[Any]]] = {
    STUDY.subject: (tables.study, tables.study.c.state),
    INSTANCE.subject: (tables.instance, tables.instance.c.clearance),
    PIXEL_TASK.subject: (tables.pixel_task, tables.pixel_task.c.state),
    TASK.subject: (tables.task, tables.task.c.state),
    DELIVERY.subject: (tables.delivery, tables.delivery.c.state),
    REPORT.subject: (tables.report, tables.report.c.status),
}


def move(
    transaction: Transaction,
    lifecycle: Lifecycle,
    subject_id: str,
    was: str,
    event: str,
    *guards: ColumnElement[bool],
    same: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    details: Mapping[str, str | int | None] | None = None,
) -> bool:
    """Moves one row from `was` by `event`, with `changes`, where `guards` hold; records `subject:event`.

    `same` are guards too: columns that must still have these values; with no others the statement is prepared.
    False, and nothing is written, where the row has moved on. Conflict where the state table has no such move.
    """
    target = lifecycle.after(was, event)
    table, state = _WHERE_IT_STANDS[lifecycle.subject]
    values = {state.name: target, **(changes or {})}
    if guards:
        equal = [table.c[name] == value for name, value in (same or {}).items()]
        statement = update(table).where(table.c.id == subject_id, state == was, *equal, *guards)
        moved = transaction.execute(statement.values(values)).rowcount
    else:
        expected = {"id": subject_id, state.name: was, **(same or {})}
        given = values | {_EXPECTED + name: value for name, value in expected.items()}
        moved = transaction.run(_prepared(lifecycle.subject, tuple(expected), tuple(values)), given)
    if moved != 1:
        return False
    transaction.record(f"{lifecycle.subject}:{event}", subject_id, was=was, **(details or {}))
    return True


_EXPECTED = "expected_"


@cache
def _prepared(subject: str, expected: tuple[str, ...], sets: tuple[str, ...]) -> Prepared:
    """One statement for each combination of columns; the callers are few, and so are these."""
    table, _ = _WHERE_IT_STANDS[subject]
    same = [table.c[name] == bindparam(_EXPECTED + name) for name in expected]
    return Prepared(update(table).where(*same), sets)
