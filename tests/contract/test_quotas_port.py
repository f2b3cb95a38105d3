"""The Quotas port on every database: counting, the limit, the hour, and several threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import pytest
from harness.rows import AT
from sqlalchemy import func, select

from gateway.domain.errors import Fault
from gateway.flow.opening_quota import HOUR, OpeningQuota, hour_of
from gateway.storage.database import SqlDatabase
from gateway.storage.tables import vault_quota

NOW = hour_of(AT)


def test_openings_are_counted_up_to_the_limit(database: SqlDatabase) -> None:
    """What fits is counted; what would pass the limit is refused whole and counts nothing."""
    with database.begin("web") as unit:
        assert unit.quotas.used("ehr", NOW) == 0
        assert unit.quotas.take("ehr", NOW, 3, 5)
        assert not unit.quotas.take("ehr", NOW, 3, 5)
        assert unit.quotas.used("ehr", NOW) == 3
        assert unit.quotas.take("ehr", NOW, 2, 5)
        assert not unit.quotas.take("ehr", NOW, 1, 5)
        unit.commit()
    with database.read() as unit:
        assert unit.quotas.used("ehr", NOW) == 5


def test_more_than_the_limit_at_once_is_refused(database: SqlDatabase) -> None:
    """The first take of an hour is held against the limit like every other."""
    with database.begin("web") as unit:
        assert not unit.quotas.take("ehr", NOW, 6, 5)
        assert unit.quotas.used("ehr", NOW) == 0


def test_actors_and_hours_are_counted_apart(database: SqlDatabase) -> None:
    """One actor's openings do not count for another, and a new hour begins at nothing."""
    with database.begin("web") as unit:
        assert unit.quotas.take("ehr", NOW, 5, 5)
        assert unit.quotas.take("pacs", NOW, 5, 5)
        assert unit.quotas.take("ehr", NOW + HOUR, 5, 5)
        assert unit.quotas.used("pacs", NOW) == 5


def test_an_actor_has_one_row(database: SqlDatabase) -> None:
    """The hours that are over are forgotten, so the table grows with actors and not with time."""
    with database.begin("web") as unit:
        for hour in range(5):
            assert unit.quotas.take("ehr", NOW + hour * HOUR, 1, 5)
        assert unit._transaction.all(select(func.count()).select_from(vault_quota))[0][0] == 1


def test_what_is_rolled_back_was_not_opened(database: SqlDatabase) -> None:
    """The count stands and falls with the transaction of the audit rows."""
    with database.begin("web") as unit:
        assert unit.quotas.take("ehr", NOW, 5, 5)
    with database.read() as unit:
        assert unit.quotas.used("ehr", NOW) == 0


def test_a_reading_unit_counts_nothing(database: SqlDatabase) -> None:
    """Counting is a write: a unit that only reads refuses it."""
    with database.read() as unit, pytest.raises(Fault, match="only reads"):
        unit.quotas.take("ehr", NOW, 1, 5)


def test_many_at_once_do_not_pass_the_limit(database: SqlDatabase) -> None:
    """Of forty takes in eight threads exactly the limit's worth succeed."""

    def take(_: int) -> bool:
        with database.begin("web") as unit:
            taken = unit.quotas.take("ehr", NOW, 1, 25)
            unit.commit()
        return taken

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 25
    with database.read() as unit:
        assert unit.quotas.used("ehr", NOW) == 25


def test_two_units_that_count_for_one_actor_do_not_wait_for_each_other_in_a_circle(database: SqlDatabase) -> None:
    """One has the actor's row, another waits for it, and the first counts again: each patient counts, once."""
    quota, others = OpeningQuota(5), Event()

    def second() -> bool:
        others.set()
        with database.begin("web") as unit:
            counted = quota.take(unit, "ehr", ["b"], AT) and quota.take(unit, "ehr", ["b", "d"], AT)
            unit.commit()
        return counted

    with ThreadPoolExecutor(1) as pool:
        with database.begin("web") as unit:
            assert quota.take(unit, "ehr", ["a"], AT)
            waiting = pool.submit(second)
            assert others.wait(10)
            sleep(0.2)  # until it waits in the database
            assert quota.take(unit, "ehr", ["a", "c"], AT)
            unit.commit()
        assert waiting.result(30)
    with database.read() as unit:
        assert unit.quotas.used("open:ehr", NOW) == 4
