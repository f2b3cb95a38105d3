"""The audit row of one FHIR interaction: who asked, from where, for what, about whom, and how it ended.

Everything that the AuditEvent of the interaction needs (IHE BALP 1.1, 3:5.7) is in this row, which
formats/fhir/audit_event.py renders. A row holds ids and pseudonyms; of a search the names of its parameters, never
their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from gateway.domain.access import Caller, Client
from gateway.domain.errors import Category, GatewayError
from gateway.domain.identity import Purpose
from gateway.domain.resource import StoredVersion
from gateway.flow.bulk.lease import JobEnded
from gateway.flow.record.open import lies_in
from gateway.ports import UnitOfWork
from gateway.servers.web.services import WebServices

Action = Literal["read", "vread", "history", "search", "create", "update", "patch", "delete", "operation"]
Outcome = Literal["0", "4", "8"]
MOST_LISTED = 100
_OURS = frozenset({Category.UNAVAILABLE, Category.FAULT})


def note_interaction(
    unit: UnitOfWork,
    client: Client,
    action: Action,
    kind: str,
    own_id: str = "",
    *,
    version: int | None = None,
    patients: Sequence[str] = (),
    parameters: Sequence[str] = (),
    found: Sequence[str] | None = None,
    count: int | None = None,
    operation: str = "",
    outcome: Outcome = "0",
    purpose: Purpose | None = None,
) -> None:
    """Records `fhir:<action>` in `unit`, to be durable with what was done or before what was read leaves.

    `patients` are pseudonyms of those in whose record the resource lies; `found` the ids that a search gave. With a
    `purpose` the row also says that their record was opened for it, as `identity:open` does elsewhere (law 4).
    """
    caller = client if isinstance(client, Caller) else Caller.of(client, "", "")
    told: dict[str, str | int | list[str] | None] = {
        "client": caller.name,
        "address": caller.address[:64] or None,
        "request": caller.request or None,
        "outcome": outcome,
        "type": kind,
        "version": version,
        "patients": list(dict.fromkeys(patients))[:MOST_LISTED] or None,
        "parameters": sorted(set(parameters)) or None,
        "found": None if found is None else list(found)[:MOST_LISTED],
        "count": count,
        "operation": operation or None,
        "purpose": purpose,
    }
    kept = {name: value for name, value in told.items() if value is not None}
    unit.audit.record(f"fhir:{action}", own_id or kind, caller.actor, **kept)


def patients_of(services: WebServices, stored: Sequence[StoredVersion]) -> list[str]:
    """In whose records these versions lie; what is the house's own belongs to nobody."""
    house = services.record.opened.vault.house().pseudonym
    return [owner for owner in dict.fromkeys(map(lies_in, stored)) if owner != house]


@contextmanager
def refusals_noted(services: WebServices, client: Client, action: Action, kind: str, own_id: str) -> Iterator[None]:
    """An interaction that is refused, or fails, inside the block has a row too; the error goes on."""
    try:
        yield
    except JobEnded:  # nobody was refused anything
        raise
    except GatewayError as error:
        outcome: Outcome = "8" if error.category in _OURS else "4"
        with services.database.begin("web") as unit:
            note_interaction(unit, client, action, kind, ours(unit, kind, own_id), outcome=outcome)
            unit.commit()
        raise


def ours(unit: UnitOfWork, kind: str, own_id: str) -> str:
    """The id where there is such a resource: what a client makes up might be a patient's number."""
    return own_id if own_id and unit.resources.find(kind, own_id) is not None else ""
