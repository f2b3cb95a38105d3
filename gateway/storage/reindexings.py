"""Passes over the search index, as rows (port `Reindexings`): a pass moves on from where it stood, or not at all."""

from __future__ import annotations

from dataclasses import asdict, fields

from sqlalchemy import select, update

from gateway.domain.reindex import Reindexing
from gateway.storage.reindex_tables import vault_reindex
from gateway.storage.transaction import Transaction

_pass = vault_reindex.c
_ALL = select(*(_pass[field.name] for field in fields(Reindexing)))


class SqlReindexings:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def newest(self) -> Reindexing | None:
        row = self._transaction.first(_ALL.order_by(_pass.begun_at.desc(), _pass.id.desc()).limit(1))
        return None if row is None else Reindexing(*row)

    def begin(self, first: Reindexing) -> None:
        self._transaction.execute(vault_reindex.insert(), asdict(first))

    def move(self, was: Reindexing, now: Reindexing) -> bool:
        here = (_pass.id == was.id, _pass.after == was.after, _pass.ended_at.is_(None))
        changes = {"after": now.after, "done": now.done, "failed": now.failed, "ended_at": now.ended_at}
        return self._transaction.execute(update(vault_reindex).where(*here).values(changes)).rowcount == 1
