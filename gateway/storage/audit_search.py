"""Finding rows of the audit trail: by words that are written beside each row, and by its own columns.

The words (table audit_word) are derived from the chained text and outside the chain: they find rows, they prove
nothing. A name here is a pseudonym, a client or an outcome, never a patient's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from gateway.domain.audit import REFUSALS, AuditEntry, AuditQuery
from gateway.storage.audit_tables import audit, audit_word
from gateway.storage.columns import microseconds

MOST_WORDS = 200
"""Patients of one row that are found by; a page of a search holds fewer."""
_SUCCESS, _REFUSED = "0", "4"


def words_of(entry: AuditEntry) -> Iterator[str]:
    """By what the entry is found, beside its event, subject and actor."""
    details = entry.details
    patients = details.get("patients")
    if isinstance(patients, list):
        yield from (f"patient:{one}" for one in list(dict.fromkeys(patients))[:MOST_WORDS])
    client = details.get("client")
    if isinstance(client, str) and entry.actor != f"client:{client}":
        yield f"client:{client}"
    outcome = details.get("outcome")
    if isinstance(outcome, str) and outcome != _SUCCESS:
        yield f"outcome:{outcome}"


def conditions(query: AuditQuery) -> list[ColumnElement[bool]]:
    """One condition for each field that asks something."""
    found = [*_times(query.since, query.before)]
    if query.seqs is not None:
        found.append(audit.c.seq.in_(query.seqs))
    if query.events is not None:
        found.append(audit.c.event.in_(query.events))
    if query.agents is not None:
        actors = [actor for name in query.agents for actor in (name, f"client:{name}", f"person:{name}")]
        found.append(or_(audit.c.actor.in_(actors), _has(*(f"client:{name}" for name in query.agents))))
    if query.patients is not None:
        words = [f"patient:{one}" for one in query.patients]
        found.append(or_(audit.c.subject_id.in_(query.patients), _has(*words)))
    if query.entities is not None:
        found.append(or_(*(_is_about(kind, own) for kind, own in query.entities)))
    if query.outcomes is not None:
        found.append(_outcome(query.outcomes))
    return found


def _times(since: datetime | None, before: datetime | None) -> Iterator[ColumnElement[bool]]:
    if since is not None:
        yield audit.c.at >= microseconds(since)
    if before is not None:
        yield audit.c.at < microseconds(before)


def _outcome(wanted: tuple[str, ...]) -> ColumnElement[bool]:
    """As an AuditEvent shows it: a refusal counts as 4, what says nothing of its outcome as 0."""
    bad = [f"outcome:{code}" for code in wanted if code != _SUCCESS]
    found = [_has(*bad)] if bad else []
    if _REFUSED in wanted:
        found.append(audit.c.event.in_(REFUSALS))
    if _SUCCESS in wanted:
        found.append(and_(audit.c.event.not_in(REFUSALS), ~_has("outcome:4", "outcome:8", "outcome:12")))
    return or_(*found)


def _is_about(kind: str, own_id: str) -> ColumnElement[bool]:
    """An id has few rows, so their text is read (wire law: details are canonical JSON, codec.py)."""
    if not kind:
        return audit.c.subject_id == own_id
    return and_(audit.c.subject_id == own_id, audit.c.details.contains(f'"type":"{kind}"', autoescape=True))


def _has(*words: str) -> ColumnElement[bool]:
    rows = select(audit_word.c.seq).where(audit_word.c.word.in_(words), audit_word.c.seq == audit.c.seq)
    return rows.exists()
