"""How often each actor has opened identity in an hour, as rows (port `Quotas`).

One guarded statement counts and decides, so that processes which open at the same time cannot pass the limit
together. One row for each actor: a new hour replaces the old one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.storage.tables import vault_quota
from gateway.storage.transaction import Transaction

_quota = vault_quota.c


class SqlQuotas:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def take(self, actor: str, window_start: datetime, count: int, most: int) -> bool:
        """Nothing is counted where the limit would be passed."""
        if count > most:
            return False
        self._transaction.execute(delete(vault_quota).where(_quota.actor == actor, _quota.window_start < window_start))
        insert = postgresql.insert if self._transaction.is_postgresql else sqlite.insert
        statement = (
            insert(vault_quota)
            .values(actor=actor, window_start=window_start, openings=count)
            .on_conflict_do_update(
                index_elements=[_quota.actor, _quota.window_start],
                set_={"openings": _quota.openings + count},
                where=_quota.openings + count <= most,
            )
            .execution_options(preserve_rowcount=True)
        )
        return self._transaction.execute(statement).rowcount == 1

    def used(self, actor: str, window_start: datetime) -> int:
        found = select(_quota.openings).where(_quota.actor == actor, _quota.window_start == window_start)
        row = self._transaction.first(found)
        return 0 if row is None else int(row.openings)
