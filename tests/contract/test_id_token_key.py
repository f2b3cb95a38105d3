"""The RSA key of ID tokens on every database: one for all processes, sealed, and another one with another secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from gateway.domain.errors import Fault
from gateway.flow.id_token_key import IdTokenKey
from gateway.storage.database import SqlDatabase
from gateway.storage.id_token_tables import vault_id_token_key

SEED, OTHER = b"s" * 32, b"o" * 32


def test_every_process_has_the_same_key(database: SqlDatabase) -> None:
    """Two that make it at one time, and one that comes later, sign by one key; the trail tells once of its making."""
    several = [IdTokenKey(database, SEED) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        made = [future.result() for future in [pool.submit(each) for each in several]]
    found = {key.thumbprint() for key in (*made, IdTokenKey(database, SEED)())}
    assert len(found) == 1
    assert made[0].raw_value.key_size == 3072
    with database.read() as unit:
        assert len([row for row in unit.audit.newest(limit=50, event="key:create")]) == 1


def test_it_lies_sealed_and_changes_with_the_ring(database: SqlDatabase) -> None:
    """Nothing of the key is in the row; another secret means another key, and what was altered does not open."""
    key = IdTokenKey(database, SEED)
    private = key().as_der(private=True)
    with database.begin("test") as unit:
        (sealed,) = unit._transaction.first(select(vault_id_token_key.c.sealed))  # type: ignore[attr-defined,misc]
        assert not any(private[start : start + 16] in sealed for start in range(0, len(private) - 16, 8))
        assert IdTokenKey(database, OTHER).id != key.id
        unit._transaction.execute(update(vault_id_token_key), {"sealed": sealed[:-1] + b"x"})  # type: ignore[attr-defined]
        unit.commit()
    with pytest.raises(Fault, match="does not open"):
        replace(key, _key=None)()


def test_former_keys_go(database: SqlDatabase) -> None:
    """The row of a former key stays a while, for processes that have the ring of before, and goes with a later one."""
    with database.begin("test") as unit:
        unit.access.keep_id_token_key("former", b"1", timedelta(days=1))
        unit.commit()
    with database.begin("test") as unit:
        assert unit.access.keep_id_token_key("former", b"2", timedelta(days=1)) == b"1"
        unit.access.keep_id_token_key("now", b"3", timedelta(days=1))
        assert unit.access.id_token_key("former") == b"1"
        unit.access.keep_id_token_key("now", b"4", timedelta(days=-1))
        assert (unit.access.id_token_key("former"), unit.access.id_token_key("now")) == (None, b"3")
