"""The audit trail: entries of a unit of work, chained when it commits, so that no row can be changed unnoticed.

Each row's code is HMAC-SHA256 over its number, time, words and the code before it; sequence numbers have no gap.
A row cannot be altered, removed or moved without the key; a cut tail shows against an anchor (anchor.py).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from gateway.domain.audit import AuditEntry, AuditQuery, AuditRow
from gateway.domain.errors import Fault
from gateway.storage import codec
from gateway.storage.audit_search import conditions, words_of
from gateway.storage.audit_tables import audit, audit_word
from gateway.storage.columns import EPOCH, microseconds
from gateway.storage.prepared import Prepared, insert_rows
from gateway.storage.transaction import AUDIT_LOCK, AnyRow, Transaction

GENESIS = bytes(32)
Details = dict[str, str | int | float | bool | list[str] | None]

_HEAD = Prepared(select(audit.c.seq, audit.c.code).order_by(audit.c.seq.desc()).limit(1))
_INSERT = insert_rows(audit)
_INSERT_WORD = insert_rows(audit_word)
_COLUMNS = tuple(audit.c)
_WORDS = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True)
class AuditKey:
    """The key of the chain and the name by which its rows call it; older keys are kept for verification."""

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class ChainedRow:
    """A row exactly as it is stored; `details` is the text that the code covers, `at` microseconds since 1970."""

    seq: int
    at: int
    event: str
    subject_id: str
    actor: str
    details: str
    previous: bytes
    code: bytes
    key_id: str


def code_of(secret: bytes, row: ChainedRow) -> bytes:
    """The row's code (wire law: a different text here makes every stored trail unverifiable)."""
    return _code(secret, _covered_of(row), row.key_id)


_Covered = tuple[int, int, str, str, str, str, bytes]
"""Of a row all that comes before its code."""


def _covered_of(row: ChainedRow) -> _Covered:
    return row.seq, row.at, row.event, row.subject_id, row.actor, row.details, row.previous


def _code(secret: bytes, covered: _Covered, key_id: str) -> bytes:
    words = [*covered[:-1], covered[-1].hex(), key_id]
    return hmac.digest(secret, _WORDS.encode(words).encode("ascii"), "sha256")


class SqlAuditTrail:
    """The AuditTrail port over one transaction; reads show what is committed, not what is being recorded."""

    def __init__(self, transaction: Transaction, key: Callable[[], AuditKey]) -> None:
        """`key` is asked when entries are chained: the current one seals them."""
        self._transaction = transaction
        self._key = key

    def record(
        self, event: str, subject_id: str, actor: str, **details: str | int | float | bool | list[str] | None
    ) -> None:
        self._transaction.keep(AuditEntry(event, subject_id, actor, details))

    def head(self, *, lock: int | None = None) -> tuple[int, bytes]:
        row = self._transaction.row(_HEAD, {}, lock=lock)
        return (0, GENESIS) if row is None else (row[0], row[1])

    def rows(self, *, after_seq: int = 0, limit: int = 1000) -> Iterable[AuditRow]:
        found = select(*_COLUMNS).where(audit.c.seq > after_seq).order_by(audit.c.seq).limit(limit)
        return [_domain_row(row) for row in self._transaction.all(found)]

    def stored(self, *, after_seq: int, limit: int) -> Sequence[ChainedRow]:
        """Rows as they are stored, for verification."""
        found = select(*_COLUMNS).where(audit.c.seq > after_seq).order_by(audit.c.seq).limit(limit)
        return [ChainedRow(*row) for row in self._transaction.all(found)]

    def newest(
        self,
        *,
        limit: int,
        before_seq: int | None = None,
        event: str | None = None,
        subject_id: str | None = None,
    ) -> list[AuditRow]:
        found = select(*_COLUMNS).order_by(audit.c.seq.desc()).limit(limit)
        if before_seq is not None:
            found = found.where(audit.c.seq < before_seq)
        if event is not None:
            found = found.where(audit.c.event == event)
        if subject_id is not None:
            found = found.where(audit.c.subject_id == subject_id)
        return [_domain_row(row) for row in self._transaction.all(found)]

    def search(self, query: AuditQuery, *, limit: int, before_seq: int | None = None) -> list[AuditRow]:
        found = select(*_COLUMNS).where(*conditions(query)).order_by(audit.c.seq.desc()).limit(limit)
        if before_seq is not None:
            found = found.where(audit.c.seq < before_seq)
        return [_domain_row(row) for row in self._transaction.all(found)]

    def count(self, query: AuditQuery, limit: int) -> int:
        some = select(audit.c.seq).where(*conditions(query)).limit(limit).subquery()
        row = self._transaction.first(select(func.count()).select_from(some))
        return 0 if row is None else int(row[0])

    def chained(self) -> list[tuple[Prepared, Sequence[Mapping[str, Any]]]]:
        """The rows of what was recorded, to be inserted as the last thing before the commit."""
        entries = self._transaction.entries
        if not entries:
            return []
        seq, code = self.head(lock=AUDIT_LOCK)
        key = self._key()
        rows: list[Mapping[str, Any]] = []
        words: list[Mapping[str, Any]] = []
        for at, entry in entries:
            seq += 1
            row = _next(key, seq, at, entry, code)
            code = row.code
            rows.append(vars(row))
            words += [{"word": word, "seq": seq} for word in words_of(entry)]
        entries.clear()
        return [(_INSERT, rows), (_INSERT_WORD, words)] if words else [(_INSERT, rows)]


def _next(key: AuditKey, seq: int, at: datetime, entry: AuditEntry, previous: bytes) -> ChainedRow:
    details = codec.encode(Details, entry.details)
    covered = (seq, microseconds(at), entry.event, entry.subject_id, entry.actor, details, previous)
    return ChainedRow(*covered, _code(key.secret, covered, key.key_id), key.key_id)


def _domain_row(row: AnyRow) -> AuditRow:
    try:
        entry = AuditEntry(row.event, row.subject_id, row.actor, codec.decode(Details, row.details))
    except ValueError:
        raise Fault(f"audit row {row.seq} holds an event that this release does not know") from None
    at = EPOCH + timedelta(microseconds=row.at)
    return AuditRow(row.seq, at, entry, row.previous, row.code, row.key_id)
