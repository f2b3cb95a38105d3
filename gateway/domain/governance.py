"""What people decide about models beyond their state: a stop, and the word of the first of two persons.

A stop is the switch that is pulled at once by whoever sees harm; what waited for the model goes on waiting, in sight,
until it is resumed or recalled. An approval is what one person has said where two are asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.errors import Invalid
from gateway.domain.ids import ModelId

LONGEST_REASON: Final = 500


@dataclass(frozen=True)
class Stop:
    """A model that nothing is run with, though its state may be active."""

    model_id: ModelId
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True)
class Approval:
    """The first of two persons wants the model to be active."""

    model_id: ModelId
    at: datetime
    by: str


def reason_of(text: str) -> str:
    """On one line; Invalid where it is none, or too long for the audit trail."""
    said = " ".join(text.split())
    if not said or len(said) > LONGEST_REASON or not said.isprintable():
        raise Invalid(f"a reason of 1 to {LONGEST_REASON} characters that names no patient is needed")
    return said
