"""The one statement by which a state changes: guarded by the state it was in, with its audit row (law 3).

Whatever moves a study, task, delivery or report goes through `move`, which takes the target from the state table;
a move that is not in the table is a Conflict before it reaches the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, update

from gateway.domain.lifecycle import DELIVERY, INSTANCE, PIXEL_TASK, REPORT, STUDY, TASK, Lifecycle
from gateway.storage import tables
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
    changes: Mapping[str, Any] | None = None,
    details: Mapping[str, str | int | None] | None = None,
) -> bool:
    """Moves one row from `was` by `event`, with `changes`, where `guards` hold; records `subject:event`.

    False, and nothing is written, where the row has moved on. Conflict where the state table has no such move.
    """
    target = lifecycle.after(was, event)
    table, state = _WHERE_IT_STANDS[lifecycle.subject]
    statement = update(table).where(table.c.id == subject_id, state == was, *guards)
    values = {state.name: target, **(changes or {})}
    if transaction.execute(statement.values(values)).rowcount != 1:
        return False
    transaction.record(f"{lifecycle.subject}:{event}", subject_id, was=was, **(details or {}))
    return True
