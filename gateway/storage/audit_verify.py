"""Verifies the audit trail row by row: what was altered, removed, moved or cut off is named.

It streams, so a trail of millions of rows needs the memory of one page, and it goes on after a finding, so that an
auditor sees the extent and not the first sign alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.storage.anchor import Anchor, AnchorFile
from gateway.storage.audit_trail import GENESIS, AuditKey, ChainedRow, code_of
from gateway.storage.database import SqlDatabase

PAGE = 1000
MOST_PROBLEMS = 100

Kind = Literal["altered", "removed", "unchained", "cut", "replaced", "unknown-key", "bad-anchor"]


@dataclass(frozen=True)
class Problem:
    """Something wrong at row `seq` (for bad-anchor: the line of the anchor file, or the seq it names)."""

    kind: Kind
    seq: int


@dataclass(frozen=True)
class Verdict:
    """`problems` names the first hundred; `sound` is the answer."""

    rows: int
    anchors: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        return not self.problems


def verify_database(database: SqlDatabase, keys: Sequence[AuditKey], file: AnchorFile | None = None) -> Verdict:
    """Verifies the stored trail under `keys` (present and former) against all anchors of `file`."""
    anchors, bad_lines = file.read() if file else ([], [])
    verdict = verify(stored_rows(database), keys, anchors)
    unreadable = tuple(Problem("bad-anchor", line) for line in bad_lines)
    return Verdict(verdict.rows, verdict.anchors, (*unreadable, *verdict.problems)[:MOST_PROBLEMS])


def last_row_opens(database: SqlDatabase, keys: Mapping[str, bytes]) -> bool | None:
    """Whether one of these keys chained the last row; None for an empty trail."""
    with database.read() as unit:
        seq, _ = unit.audit.head()
        last = unit.audit.stored(after_seq=seq - 1, limit=1)
    if not last:
        return None
    secret = keys.get(last[0].key_id)
    return secret is not None and hmac.compare_digest(code_of(secret, last[0]), last[0].code)


def stored_rows(database: SqlDatabase) -> Iterator[ChainedRow]:
    """All rows as they are stored, a page for each short transaction."""
    seq = 0
    while True:
        with database.read() as unit:
            page = unit.audit.stored(after_seq=seq, limit=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        seq = page[-1].seq


def verify(rows: Iterable[ChainedRow], keys: Sequence[AuditKey], anchors: Sequence[Anchor] = ()) -> Verdict:
    """Verifies rows given in order of `seq`."""
    problems: list[Problem] = [Problem("bad-anchor", a.seq) for a in anchors if not a.is_signed_by(keys)]
    anchored = {anchor.seq: anchor.code for anchor in anchors if anchor.is_signed_by(keys)}
    secrets = {key.key_id: key.secret for key in keys}
    count, seq, code = 0, 0, GENESIS
    for row in rows:
        count += 1
        problems += _problems_of(row, seq, code, secrets, anchored)
        del problems[MOST_PROBLEMS:]
        seq, code = row.seq, row.code
    last = max(anchored, default=0)
    if last > seq:
        problems.append(Problem("cut", seq + 1))
    return Verdict(count, len(anchors), tuple(problems[:MOST_PROBLEMS]))


def _problems_of(
    row: ChainedRow, seq: int, code: bytes, secrets: dict[str, bytes], anchored: dict[int, bytes]
) -> Iterator[Problem]:
    if row.seq != seq + 1:
        yield Problem("removed", seq + 1)
    elif row.previous != code:
        yield Problem("unchained", row.seq)
    if row.key_id not in secrets:
        yield Problem("unknown-key", row.seq)
    elif not hmac.compare_digest(code_of(secrets[row.key_id], row), row.code):
        yield Problem("altered", row.seq)
    if row.seq in anchored and anchored[row.seq] != row.code:
        yield Problem("replaced", row.seq)
