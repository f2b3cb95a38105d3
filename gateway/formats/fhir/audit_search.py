"""How the audit trail is searched: its rows lie outside of the store of resources and have parameters of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ParameterType = Literal["token", "reference", "date", "string"]


@dataclass(frozen=True)
class Parameter:
    """A search parameter. `plain` is False where it is served only in one of its `forms`.

    `forms` are the full names that a client may write beside the plain one: a chain (`patient.identifier`,
    `subject:Patient.identifier`) or a modifier (`based-on:identifier`).
    """

    name: str
    type: ParameterType
    documentation: str
    forms: tuple[str, ...] = ()
    plain: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.forms) if self.plain else self.forms


@dataclass(frozen=True)
class Served:
    """A type that is searched outside of the store, with its parameters and includes."""

    type: str
    documentation: str
    parameters: tuple[Parameter, ...]
    includes: tuple[str, ...] = ()
    reverse_includes: tuple[str, ...] = ()

    def parameter(self, name: str) -> Parameter | None:
        """The parameter that a client writes as `name`, in any of its forms."""
        return next((each for each in self.parameters if name in each.names), None)


AUDIT_EVENT = Served(
    "AuditEvent",
    "A row of the audit trail; immutable. Needs a scope that names AuditEvent. Newest first.",
    (
        Parameter("_id", "token", "Number of the row."),
        Parameter("date", "date", "When it happened; prefixes eq, ge, gt, le, lt."),
        Parameter("_lastUpdated", "date", "The same as date."),
        Parameter("type", "token", "audit-event-type#rest, or a DICOM audit code."),
        Parameter("subtype", "token", "restful-interaction code, DICOM code, or urn:dxgate:audit-event|event."),
        Parameter("action", "token", "C, R, U, D or E."),
        Parameter("outcome", "token", "0, 4 or 8."),
        Parameter("agent-name", "string", "Exact name of the client, person or part that acted."),
        Parameter("agent", "reference", "By name of the agent.", ("agent:identifier",), plain=False),
        Parameter("entity", "reference", "Type/id of what was accessed."),
        Parameter("patient", "reference", "In whose record; Patient/id or identifier.", ("patient.identifier",)),
    ),
)
