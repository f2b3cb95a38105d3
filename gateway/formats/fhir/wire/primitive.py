"""Rules of primitive values that the JSON schema cannot say (FHIR R4 2.24.0.1): calendar, base64, whole numbers.

Each rule gives a short text where the value breaks it, and None where it holds or where the schema refuses it anyway.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from calendar import monthrange
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

Rule = Callable[[Any], str | None]
_LEAST, _MOST = -(2**31), 2**31 - 1
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_DAY_THAT_ALWAYS_EXISTS: Final = "28"


def date(value: Any) -> str | None:
    """date, dateTime and instant: the schema knows the form, not the length of a month."""
    if type(value) is not str or value[8:10] <= _DAY_THAT_ALWAYS_EXISTS:
        return None
    try:
        exists = int(value[8:10]) <= monthrange(int(value[:4]), int(value[5:7]))[1]
    except ValueError:
        exists = False
    return None if exists else "this day is not in the calendar"


def base64(value: Any) -> str | None:
    if type(value) is not str:
        return None
    try:
        packed = value.encode("ascii")
        a2b_base64(packed, strict_mode=True)
    except (NotBase64, UnicodeEncodeError):
        return _loose_base64(value)
    return None if packed else "base64 is empty"


def _loose_base64(value: str) -> str | None:
    """R4 lets whitespace stand between the letters."""
    try:
        packed = _BLANKS.sub("", value).encode("ascii")
        a2b_base64(packed, strict_mode=True)
    except (NotBase64, UnicodeEncodeError):
        return "this is not base64"
    return None if packed else "base64 is empty"


def uri(value: Any) -> str | None:
    return "an address may not be empty" if value == "" else None


def integer(value: Any) -> str | None:
    if type(value) is int:
        return None if _LEAST <= value <= _MOST else "this number does not fit into 32 bits"
    return "this must be a whole number" if isinstance(value, Decimal | float) else None


def unsigned(value: Any) -> str | None:
    return integer(value) or ("this number may not be negative" if type(value) is int and value < 0 else None)


def positive(value: Any) -> str | None:
    return integer(value) or ("this number must be above zero" if type(value) is int and value < 1 else None)


RULES: Final[Mapping[str, Rule]] = {
    "date": date,
    "dateTime": date,
    "instant": date,
    "base64Binary": base64,
    "uri": uri,
    "url": uri,
    "canonical": uri,
    "integer": integer,
    "unsignedInt": unsigned,
    "positiveInt": positive,
}
