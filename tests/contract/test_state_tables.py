"""Every pair of state and event, sent through the real guarded update on every database."""

from __future__ import annotations

import pytest
from harness.rows import AT, arrival, planned_task, receive
from sqlalchemy import Column, Table, select, update

from gateway.domain.errors import Conflict
from gateway.domain.lifecycle import DELIVERY, INSTANCE, LIFECYCLES, PIXEL_TASK, REPORT, STUDY, TASK, Lifecycle
from gateway.storage import tables
from gateway.storage.database import SqlDatabase
from gateway.storage.transitions import move
from gateway.storage.unit_of_work import SqlUnitOfWork

WHERE: dict[str, tuple[Table, Column[str]]] = {
    "study": (tables.study, tables.study.c.state),
    "instance": (tables.instance, tables.instance.c.clearance),
    "pixel-task": (tables.pixel_task, tables.pixel_task.c.state),
    "task": (tables.task, tables.task.c.state),
    "delivery": (tables.delivery, tables.delivery.c.state),
    "report": (tables.report, tables.report.c.status),
}


def _subject(unit: SqlUnitOfWork, lifecycle: Lifecycle) -> str:
    if lifecycle is STUDY:
        receive(unit, arrival())
        return arrival().instance.study_id
    study, task = planned_task(unit)
    if lifecycle in (INSTANCE, PIXEL_TASK):
        (instance,) = unit.studies.instances(study.id)
        unit.pixel_tasks.plan(instance, "routine", AT)
        return instance.id
    if lifecycle is TASK:
        return task.id
    report = unit.reports.register(study, AT)
    return report.id if lifecycle is REPORT else unit.deliveries.plan(report, ["ehr"], AT)[0].id


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda life: life.subject)
def test_full_product_of_states_and_events(database: SqlDatabase, lifecycle: Lifecycle) -> None:
    """A move of the table changes the row and writes its audit row; every other pair is refused and changes nothing."""
    table, state_column = WHERE[lifecycle.subject]
    with database.begin("tester") as unit:
        subject = _subject(unit, lifecycle)
        transaction = unit._transaction
        for state in lifecycle.states:
            for event in lifecycle.events:
                transaction.execute(update(table).where(table.c.id == subject), {state_column.name: state})
                transaction.entries.clear()
                target = lifecycle.moves.get((state, event))
                if target is None:
                    with pytest.raises(Conflict):
                        move(transaction, lifecycle, subject, state, event)
                else:
                    assert move(transaction, lifecycle, subject, state, event)
                    (entry,) = [entry for _, entry in transaction.entries]
                    assert (entry.event, entry.subject_id) == (f"{lifecycle.subject}:{event}", subject)
                now = transaction.first(select(state_column).where(table.c.id == subject))
                assert now is not None
                assert now[0] == (target or state)


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda life: life.subject)
def test_a_row_that_has_moved_on_is_not_moved(database: SqlDatabase, lifecycle: Lifecycle) -> None:
    """A move whose `was` no longer holds is False and writes no audit row."""
    (was, event), _ = next((pair, to) for pair, to in lifecycle.moves.items() if pair[0] != lifecycle.initial)
    with database.begin("tester") as unit:
        subject = _subject(unit, lifecycle)
        table, state_column = WHERE[lifecycle.subject]
        unit._transaction.execute(update(table).where(table.c.id == subject), {state_column.name: lifecycle.initial})
        unit._transaction.entries.clear()
        assert not move(unit._transaction, lifecycle, subject, was, event)
        assert unit._transaction.entries == []


@pytest.mark.parametrize("lifecycle", LIFECYCLES, ids=lambda life: life.subject)
def test_the_database_refuses_an_unknown_state(database: SqlDatabase, lifecycle: Lifecycle) -> None:
    """A state that the table does not know cannot be written at all."""
    table, state_column = WHERE[lifecycle.subject]
    with database.begin("tester") as unit:
        subject = _subject(unit, lifecycle)
        with pytest.raises(Exception, match="database answered"):
            unit._transaction.execute(update(table).where(table.c.id == subject), {state_column.name: "lost"})


def test_every_lifecycle_has_its_table() -> None:
    """No lifecycle is without a table."""
    assert set(WHERE) == {life.subject for life in LIFECYCLES}
    assert DELIVERY.subject in WHERE
