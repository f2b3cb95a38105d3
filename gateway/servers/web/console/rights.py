"""Which role may do what in the console, as data: what is not in the table is refused.

A physician sees whose study it is, and decides nothing about de-identification; a privacy officer the reverse. An
auditor sees that something was held and what was decided, never a picture that may still show a patient's name.
"""

from __future__ import annotations

from typing import Final, Literal

from gateway.domain.access import Person, Role
from gateway.domain.errors import Forbidden
from gateway.domain.reidentification import MAY_REIDENTIFY
from gateway.domain.review import MAY_SIGN
from gateway.flow.decide_held import MAY_DECIDE

Right = Literal[
    "see identity",
    "list held objects",
    "decide about held objects",
    "lead a pseudonym back",
    "list reports",
    "decide about reports",
]

RIGHTS: Final[dict[Right, frozenset[str]]] = {
    "see identity": frozenset({"admin", "physician"}),
    "list held objects": MAY_DECIDE | {"auditor"},
    "decide about held objects": MAY_DECIDE,
    "lead a pseudonym back": frozenset(MAY_REIDENTIFY),
    "list reports": MAY_SIGN | {"admin", "auditor"},
    "decide about reports": MAY_SIGN,
}
ROLES: Final[tuple[Role, ...]] = ("admin", "auditor", "physician", "privacy-officer")


def may(person: Person | None, right: Right) -> bool:
    return person is not None and person.role in RIGHTS[right]


def require(person: Person, right: Right) -> None:
    """Forbidden where the person's role does not have the right."""
    if not may(person, right):
        raise Forbidden(f"your role may not {right}")
