"""What a resource says of a search parameter, as typed values: the common tongue of index, search and proof."""

from __future__ import annotations

from typing import NamedTuple

EARLIEST = -(1 << 53)  # microseconds: an open beginning; exact as a floating number too
LATEST = 1 << 53


class Token(NamedTuple):
    """A code or identifier; `system` is empty where there is none."""

    system: str
    code: str


class TokenText(NamedTuple):
    """Text that goes with a token: what the modifier :text looks in."""

    text: str


class OfType(NamedTuple):
    """An identifier with its type: what the modifier :of-type looks for."""

    system: str
    code: str
    value: str


class Reference(NamedTuple):
    """A literal reference: type and id on this server, or an empty type and an absolute URL."""

    type: str
    target: str


class LogicalReference(NamedTuple):
    """The identifier in a reference: what the modifier :identifier looks for."""

    system: str
    value: str


class Span(NamedTuple):
    """Instants in microseconds since 1970 UTC, `high` exclusive; `text` is the date as it was written."""

    low: int
    high: int
    text: str = ""


class Amount(NamedTuple):
    """A number or quantity, both ends inclusive. A number has no unit."""

    low: float
    high: float
    system: str = ""
    code: str = ""
    unit: str = ""


class Text(NamedTuple):
    """One string, as it was written."""

    text: str


class Uri(NamedTuple):
    uri: str


class Together(NamedTuple):
    """Values of the components of a composite that belong to one element."""

    values: tuple[Value, ...]


Value = Token | TokenText | OfType | Reference | LogicalReference | Span | Amount | Text | Uri | Together
