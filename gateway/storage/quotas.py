"""How often each actor has opened identity in an hour, as rows (port `Quotas`).

One guarded statement counts and decides, so that processes which open at the same time cannot pass the limit
together; it is all that happens but for an actor's first opening of the hour, which replaces the row of an earlier one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, bindparam, delete, select, update

from gateway.storage.prepared import Prepared, Values, insert_new
from gateway.storage.tables import vault_quota
from gateway.storage.transaction import Transaction

_quota = vault_quota.c
_IS_ACTOR = _quota.actor == bindparam("of_actor")
_then = _quota.openings + bindparam("added", type_=Integer)
_ADD = Prepared(
    update(vault_quota)
    .where(_IS_ACTOR, _quota.window_start == bindparam("of_window"), _then <= bindparam("most", type_=Integer))
    .values(openings=_then)
)
_FORGET = Prepared(delete(vault_quota).where(_IS_ACTOR, _quota.window_start < bindparam("of_window")))
_BEGIN = insert_new(vault_quota)
_USED = Prepared(select(_quota.openings).where(_IS_ACTOR, _quota.window_start == bindparam("of_window")))


class SqlQuotas:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def take(self, actor: str, window_start: datetime, count: int, most: int) -> bool:
        """Nothing is counted where the limit would be passed."""
        if count > most:
            return False
        place: Values = {"of_actor": actor, "of_window": window_start}
        added = {**place, "added": count, "most": most}
        if self._transaction.run(_ADD, added) == 1:
            return True
        self._transaction.run(_FORGET, place)
        first = {"actor": actor, "window_start": window_start, "openings": count}
        # where the hour has begun already, in this process or in another, the limit decides
        return self._transaction.run(_BEGIN, first) == 1 or self._transaction.run(_ADD, added) == 1

    def used(self, actor: str, window_start: datetime) -> int:
        row = self._transaction.row(_USED, {"of_actor": actor, "of_window": window_start})
        return 0 if row is None else int(row[0])
