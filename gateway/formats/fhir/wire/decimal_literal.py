"""A JSON number that is written out again as it came: 1.20E2 stays 1.20E2 (FHIR R4 2.24.0.1, precision of decimals).

`str(Decimal(x))` gives back nearly every literal; only the few that it would change need to carry their own text.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gateway.formats.fhir.wire.issue import refused

MOST_DIGITS: Final = 64  # R4 asks for 18 significant digits and some exponent
MOST_EXPONENT: Final = 400
_BEYOND: Final = Decimal("1e9999")
_SHORT_DECIMAL: Final = 8
_SHORT_INTEGER: Final = 18
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


class WrittenDecimal(Decimal):
    """A Decimal whose text is not the one that Python would write."""

    __slots__ = ("literal",)
    literal: str

    def __new__(cls, literal: str) -> WrittenDecimal:
        made = super().__new__(cls, literal)
        made.literal = literal
        return made

    def __str__(self) -> str:
        return self.literal

    def __copy__(self) -> WrittenDecimal:
        return self

    def __deepcopy__(self, memo: Any) -> WrittenDecimal:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return WrittenDecimal, (self.literal,)


def decimal(literal: str) -> Decimal:
    """The number with its text; `literal` must match NUMBER. Refused where digits or exponent are out of bounds."""
    if len(literal) <= _SHORT_DECIMAL and "e" not in literal and "E" not in literal:
        return Decimal(literal)  # Python writes these as they are
    if len(literal) > MOST_DIGITS:
        raise refused("value", f"a number has more than {MOST_DIGITS} characters")
    try:
        made = Decimal(literal)
    except InvalidOperation:  # an exponent that not even Decimal holds
        made = _BEYOND
    if abs(made.adjusted()) > MOST_EXPONENT:
        raise refused("value", f"a number has an exponent beyond {MOST_EXPONENT}")
    return made if str(made) == literal else WrittenDecimal(literal)


def integer(literal: str) -> int | Decimal:
    """An int; what is longer than 64 bits, or minus zero, as a Decimal, which keeps it."""
    if len(literal) > _SHORT_INTEGER or literal == "-0":
        return decimal(literal)
    return int(literal)


def plain(value: Any) -> Any:
    """A copy with every WrittenDecimal as a plain Decimal, for code that knows only the exact type."""
    if type(value) is dict:
        return {name: plain(inner) for name, inner in value.items()}
    if type(value) is list:
        return [plain(inner) for inner in value]
    return Decimal(value) if type(value) is WrittenDecimal else value
