"""One value of a search parameter as what it asks for: a reader for each kind (R4 3.1.1.4.4 to 3.1.1.4.14)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

from gateway.domain.criterion import (
    AmountWanted,
    OfTypeWanted,
    Prefix,
    ReferenceWanted,
    SpanWanted,
    TextWanted,
    TogetherWanted,
    TokenWanted,
    UriWanted,
    ValueWanted,
)
from gateway.domain.errors import Invalid
from gateway.domain.search_parameter import Kind, Parameter
from gateway.formats.fhir.search.instants import microseconds, span
from gateway.formats.fhir.search.references import ID, Base, literal
from gateway.formats.fhir.search.wording import split, unescaped

_PREFIXES: tuple[Prefix, ...] = get_args(Prefix)
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Reading:
    """What values are read by: our own address, and the time that "about" is measured from.

    `trail`: it is the audit trail that is searched, which lies outside of the store.
    """

    base: Base = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    trail: bool = False


def value_wanted(parameter: Parameter, name: str, text: str, reading: Reading, kind: str | None = None) -> ValueWanted:
    """`text` is one alternative, still escaped; `kind` is the type that a modifier names. Invalid if malformed."""
    match parameter.kind:
        case "composite":
            return _composite(parameter, name, text, reading)
        case "reference":
            return _reference(parameter.targets if kind is None else (kind,), name, text, reading.base)
        case _:
            return _plain(parameter.kind, name, text, reading)


def token(name: str, text: str) -> TokenWanted:
    """`code`, `system|code`, `|code` or `system|`."""
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) > 2 or not any(parts):
        raise Invalid(f"the parameter {name} must be [system]|[code] or [code]")
    if len(parts) == 1:
        return TokenWanted(None, parts[0])
    return TokenWanted(parts[0], parts[1] or None)


def of_type(name: str, text: str) -> OfTypeWanted:
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) != 3 or not (parts[1] and parts[2]):
        raise Invalid(f"the parameter {name} must be [system]|[code]|[value]")
    return OfTypeWanted(*parts)


def is_missing(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise Invalid(f"the parameter {name} must be true or false")
    return text == "true"


def _plain(kind: Kind, name: str, text: str, reading: Reading) -> ValueWanted:
    if kind == "date":
        return _date(text, reading.now)
    if kind == "reference":
        return _reference((), name, text, reading.base)
    return _SIMPLE[kind](name, text)


def _composite(parameter: Parameter, name: str, text: str, reading: Reading) -> TogetherWanted:
    words = split(text, "$")
    if len(words) != len(parameter.parts) or not all(words):
        raise Invalid(f"the parameter {name} must be {'$'.join(part.kind for part in parameter.parts)}")
    parts = zip(parameter.parts, words, strict=True)
    return TogetherWanted(tuple(_plain(part.kind, name, word, reading) for part, word in parts))


def _reference(types: tuple[str, ...], name: str, text: str, base: Base) -> ReferenceWanted:
    plain = unescaped(text)
    if ID.fullmatch(plain):
        if not types:
            raise Invalid(f"the parameter {name} must be [type]/[id]")
        return ReferenceWanted(tuple((kind, plain) for kind in types))
    if "/_history/" in plain:
        raise Invalid(f"the parameter {name} finds references to any version; name none")
    found = literal(plain, base)
    if found is None:
        raise Invalid(f"the parameter {name} must be [id], [type]/[id] or a URL")
    if found.type and types and found.type not in types:
        raise Invalid(f"the parameter {name} never refers to that type")
    return ReferenceWanted(((found.type, found.target),))


def _date(text: str, now: datetime) -> SpanWanted:
    prefix, rest = _prefixed(unescaped(text))
    low, high = span(rest.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    slack = abs(microseconds(now) - low) // 10 if prefix == "ap" else 0
    return SpanWanted(prefix, low, high, slack)


def _number(name: str, text: str) -> AmountWanted:
    prefix, rest = _prefixed(text)
    if not _NUMBER.fullmatch(rest):
        raise Invalid(f"the parameter {name} must be a number, perhaps with a prefix")
    value = Decimal(rest)
    exponent = value.as_tuple().exponent
    return AmountWanted(prefix, value, Decimal(5).scaleb(int(exponent) - 1))


def _quantity(name: str, text: str) -> AmountWanted:
    words = [unescaped(word) for word in split(text, "|")]
    if len(words) not in (1, 3):
        raise Invalid(f"the parameter {name} must be [number] or [number]|[system]|[code]")
    number = _number(name, words[0])
    if len(words) == 1:
        return number
    system, code = words[1] or None, words[2] or None
    if code is None:
        raise Invalid(f"the parameter {name} names no unit: [number]|[system]|[code]")
    return AmountWanted(number.prefix, number.value, number.half, system, code)


def _prefixed(text: str) -> tuple[Prefix, str]:
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            return prefix, text[2:]
    return "eq", text


_SIMPLE: dict[str, Callable[[str, str], ValueWanted]] = {
    "token": token,
    "number": _number,
    "quantity": _quantity,
    "uri": lambda _, text: UriWanted(unescaped(text)),
    "string": lambda _, text: TextWanted(unescaped(text)),
}
