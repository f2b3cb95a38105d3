"""An answer that waits for a commit: what is to be written, and what is said when it is durable.

An interaction computes in a thread and returns one of these; the endpoint hands the write to the group commit and
waits without a thread, so that one flush of the disk serves many clients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.access import Client
from gateway.domain.errors import Category, Conflict, Erased, GatewayError
from gateway.domain.resource import StoredVersion
from gateway.flow.record.asked import Asked, Did, Plan, Written
from gateway.flow.record.store import PLANNED_OUTSIDE
from gateway.flow.record.write import Overtaken
from gateway.ports import UnitOfWork
from gateway.servers.web.fhir.exchange import Answer, actor_of
from gateway.servers.web.fhir.note_interaction import Action, note_interaction, ours, patients_of
from gateway.servers.web.services import WebServices

OF_THE_CLIENT = frozenset({Category.INVALID, Category.FORBIDDEN, Category.MISSING})
"""Refusals after which a unit that has read can go on reading."""
_TRIES = 8
_ACTIONS: dict[str, Action] = {"created": "create", "updated": "update", "deleted": "delete"}


@dataclass(frozen=True)
class Pending:
    """`write` runs in the commit; `then` says what follows; `overtaken` what is done where the write was overtaken."""

    write: Callable[[UnitOfWork], Any]
    then: Callable[[Any], Answer | Again]
    overtaken: Callable[[], Outcome] | None = None


@dataclass(frozen=True)
class Again:
    """To be worked out once more, in a thread."""

    run: Callable[[], Outcome] = field(repr=False)


Outcome = Answer | Pending
Also = Callable[[UnitOfWork, list[Written]], None]


def writing(
    services: WebServices,
    client: Client,
    asked: Sequence[Asked],
    answer: Callable[[list[Written]], Answer | Again],
    *,
    also: Also | None = None,
    attempt: int = 1,
) -> Outcome:
    """Plans what is asked and leaves its commit to the endpoint; planned anew where another writer was first.

    `also` runs in the transaction that has written.
    """
    record, actor = services.record, actor_of(client)
    record.plan.vault.house()  # made outside of the commit, whose write lock its making would wait for
    if attempt > _TRIES:
        raise Conflict("other writers were first, again and again; try once more")

    def note(unit: UnitOfWork, did: Did, now: StoredVersion) -> None:
        patients = patients_of(services, [now])
        note_interaction(unit, client, _ACTIONS[did], now.type, now.id, version=now.version, patients=patients)

    def again() -> Outcome:
        return writing(services, client, asked, answer, also=also, attempt=attempt + 1)

    def then(written: list[Written] | None) -> Answer | Again:
        return Again(again) if written is None else answer(written)

    if attempt > PLANNED_OUTSIDE:
        return Pending(lambda unit: _with(also, unit, record.within(unit, asked, actor, note)), then, again)
    with services.database.read() as unit:
        plan = record.plan(unit, asked)
    if not plan.writes and also is None:
        said = answer(_nothing(plan))
        return said.run() if isinstance(said, Again) else said

    def forget_and_again() -> Outcome:
        for _, now in plan.writes:
            services.record.plan.vault.forget(now.owner)
        return again()

    return Pending(lambda unit: _with(also, unit, record.write(unit, plan, actor, note)), then, forget_and_again)


def _with(also: Also | None, unit: UnitOfWork, written: list[Written] | None) -> list[Written] | None:
    if also is not None and written is not None:
        also(unit, written)
    return written


def _nothing(plan: Plan) -> list[Written]:
    """Where every condition has found what was to be made, there is nothing to commit."""
    return [Written("nothing", step.was, step.body) for step in plan.steps]


def refusal(error: GatewayError, client: Client, action: Action, kind: str, own_id: str) -> Pending:
    """Raises the error once its row in the trail is durable. What is not the client's doing goes on at once."""
    if error.category not in OF_THE_CLIENT:
        raise error

    def write(unit: UnitOfWork) -> None:
        note_interaction(unit, client, action, kind, ours(unit, kind, own_id), outcome="4")

    def then(_: None) -> Answer:
        raise error

    return Pending(write, then)


def settled(services: WebServices, outcome: Outcome) -> Answer:
    """The answer, waited for in this thread: for the entries of a batch, which come one after the other."""
    while isinstance(outcome, Pending):
        outcome = following(outcome, lambda pending: services.commits.submit(pending.write))
    return outcome


def following(pending: Pending, commit: Callable[[Pending], Any]) -> Outcome:
    try:
        said = pending.then(commit(pending))
    except (Overtaken, Erased):
        if pending.overtaken is None:
            raise
        return pending.overtaken()
    return said.run() if isinstance(said, Again) else said
