"""The Audit page: the trail, newest first, by event and by subject, with the state of its chain."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from gateway.domain.audit import AUDIT_EVENTS, AuditRow
from gateway.domain.errors import Invalid
from gateway.servers.web.console.page import View, Visit

ROWS = 50


def audit(visit: Visit) -> View:
    event, subject, before = visit.field("event"), visit.field("subject"), visit.field("before")
    if event and event not in AUDIT_EVENTS:
        raise Invalid("there is no such event")
    found = visit.unit.audit.newest(
        limit=ROWS + 1, before_seq=_number(before), event=event or None, subject_id=subject[:128] or None
    )
    rows = found[:ROWS]
    seq, code = visit.unit.audit.head()
    check = visit.services.check_audit
    data = {
        "rows": rows,
        "older": rows[-1].seq if len(found) > ROWS else None,
        "events": sorted(AUDIT_EVENTS),
        "event": event,
        "subject": subject,
        "head": seq,
        "code": code.hex(),
        "linked": None if event or subject else is_linked(rows),
        "can_check": check is not None,
        "checked": check() if check is not None and visit.field("check") else None,
    }
    return View("audit.html", "audit", data)


def is_linked(rows: Sequence[AuditRow]) -> bool:
    """Whether rows that follow each other, newest first, have numbers without a gap and name their predecessors."""
    pairs = pairwise(rows)
    return all(newer.seq == older.seq + 1 and newer.previous == older.code for newer, older in pairs)


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid("the page link is malformed")
    return int(text)
