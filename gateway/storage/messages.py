"""Messages that were processed, as rows (port `Messages`): who is first to keep one has processed it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, delete, or_, select

from gateway.domain.message import ReceivedMessage
from gateway.storage.message_tables import vault_message
from gateway.storage.prepared import Prepared, insert_new
from gateway.storage.transaction import Transaction

_row = vault_message.c
_KEEP = insert_new(vault_message)
_FORGET = Prepared(delete(vault_message).where(_row.at < bindparam("before")))
_FIND = Prepared(
    select(_row.client, _row.message, _row.bundle, _row.at).where(
        _row.client == bindparam("of_client"),
        or_(_row.message == bindparam("of_message"), _row.bundle == bindparam("of_bundle")),
    )
)


class SqlMessages:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def find(self, client: str, message: bytes, bundle: bytes | None) -> ReceivedMessage | None:
        rows = self._transaction.rows(_FIND, {"of_client": client, "of_message": message, "of_bundle": bundle})
        found = sorted((ReceivedMessage(*row) for row in rows), key=lambda one: one.message != message)
        return found[0] if found else None

    def keep(self, received: ReceivedMessage) -> bool:
        return self._transaction.run(_KEEP, asdict(received)) == 1

    def forget(self, before: datetime) -> int:
        return self._transaction.run(_FORGET, {"before": before})
