"""The closed vocabulary of the audit trail: every event is `subject:action`, and no other is accepted.

Moves of a state table are written `subject:event`; the rest is listed here. An entry holds who, what, when and
on which id, never patient data: identity is named by pseudonym.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.lifecycle import LIFECYCLES

_OTHER_EVENTS = (
    "association:open",
    "association:close",
    "association:reject",
    "instance:receive",
    "instance:duplicate",
    "instance:refuse",
    "study:create",
    "task:plan",
    "report:register",
    "report:review",
    "agreement:compare",
    "agreement:withdraw",
    "model:recall",
    "delivery:plan",
    "model:announce",
    "model:activate",
    "model:retire",
    "model:shadow",
    "model:refuse",
    "model:stop",
    "model:resume",
    "model:approve",
    "model:accept",
    "identity:create",
    "identity:open",
    "identity:release",
    "identity:refuse",
    "patient:erase",
    "orphan:delete",
    "held:view",
    "study:export",
    "export:make",
    "resource:read",
    "resource:search",
    "fhir:read",
    "fhir:vread",
    "fhir:history",
    "fhir:search",
    "fhir:create",
    "fhir:update",
    "fhir:patch",
    "fhir:delete",
    "fhir:operation",
    "resource:create",
    "resource:update",
    "resource:delete",
    "resource:history",
    "index:begin",
    "index:end",
    "notification:send",
    "bulk:begin",
    "bulk:file",
    "bulk:end",
    "bulk:fail",
    "bulk:cancel",
    "bulk:fetch",
    "console:view",
    "client:add",
    "client:disable",
    "client:rotate",
    "client:revoke",
    "client:authenticate",
    "client:reject",
    "person:add",
    "person:login",
    "person:reject",
    "person:logout",
    "person:role",
    "person:consent",
    "key:create",
    "key:rotate",
    "key:rewrap",
    "key:retire",
    "key:backup",
    "key:restore",
)
AUDIT_EVENTS = frozenset(_OTHER_EVENTS) | {f"{life.subject}:{event}" for life in LIFECYCLES for event in life.events}
REFUSALS = frozenset(
    {"association:reject", "client:reject", "identity:refuse", "instance:refuse", "model:refuse", "person:reject"}
)
"""Events that say by themselves that something was refused; of others the outcome stands in the details."""


@dataclass(frozen=True)
class AuditEntry:
    """One thing that happened: `event` to `subject_id`, done by `actor`, with small de-identified details."""

    event: str
    subject_id: str
    actor: str
    details: Mapping[str, str | int | float | bool | list[str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.event not in AUDIT_EVENTS:
            raise ValueError(f"not in the audit vocabulary: {self.event}")


@dataclass(frozen=True)
class AuditRow:
    """An entry as it stands in the chain: its place, its time, its predecessor's code and its own."""

    seq: int
    at: datetime
    entry: AuditEntry
    previous: bytes
    code: bytes
    key_id: str


@dataclass(frozen=True)
class AuditQuery:
    """Which rows are asked for; a field that is None asks nothing, and within a field any value will do.

    `agents` are names of clients, people or parts; `patients` pseudonyms; `entities` types (or empty) with ids;
    `outcomes` FHIR codes (0, 4, 8, 12); `since` counts, `before` does not.
    """

    seqs: tuple[int, ...] | None = None
    events: tuple[str, ...] | None = None
    since: datetime | None = None
    before: datetime | None = None
    agents: tuple[str, ...] | None = None
    patients: tuple[str, ...] | None = None
    entities: tuple[tuple[str, str], ...] | None = None
    outcomes: tuple[str, ...] | None = None
