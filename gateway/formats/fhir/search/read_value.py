"""One element of a resource as values of a search parameter: a reader for each kind (R4 3.1.1.4.4 to 3.1.1.4.13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.domain.errors import Invalid
from gateway.domain.search_parameter import Place
from gateway.formats.fhir.search.instants import span
from gateway.formats.fhir.search.references import Base, literal
from gateway.formats.fhir.search.values import (
    EARLIEST,
    LATEST,
    Amount,
    LogicalReference,
    OfType,
    Reference,
    Span,
    Text,
    Token,
    TokenText,
    Uri,
    Value,
)

PLAIN = (Token, Reference, Span, Amount, Text, Uri)
"""Values that the plain parameter compares; the others serve a modifier."""
LONGEST = 4096  # characters of a text or URI that are looked at
_MAX_SAMPLES = 5000
_INFINITE = float("inf")
_CURRENCIES = "urn:iso:std:iso:4217"
_HUMAN_NAME = ("family", "given", "prefix", "suffix", "text")
_ADDRESS = ("line", "city", "district", "state", "postalCode", "country", "text")


def _token(node: Any, place: Place, _base: Base) -> Iterator[Value]:
    if isinstance(node, bool):
        yield Token("", "true" if node else "false")
    elif isinstance(node, str):
        implied = place.condition if place.data == "code" and place.condition else ""
        yield Token(implied, node[:LONGEST])
    elif isinstance(node, dict):
        yield from _structured_token(node, place.data)


def _structured_token(node: Mapping[str, Any], data: str) -> Iterator[Value]:
    if data == "CodeableConcept":
        for coding in _dicts(node.get("coding")):
            yield from _coding(coding)
        yield from _token_text(node.get("text"))
    elif data == "Coding":
        yield from _coding(node)
    elif data == "Identifier":
        yield from _identifier(node)
    elif isinstance(node.get("value"), str):  # ContactPoint
        yield Token(_text(node.get("system")), node["value"][:LONGEST])


def _coding(node: Mapping[str, Any]) -> Iterator[Value]:
    if isinstance(node.get("code"), str):
        yield Token(_text(node.get("system")), node["code"][:LONGEST])
    yield from _token_text(node.get("display"))


def _identifier(node: Mapping[str, Any]) -> Iterator[Value]:
    value = node.get("value")
    kind = node.get("type")
    if isinstance(kind, dict):
        yield from _token_text(kind.get("text"))
    if not isinstance(value, str):
        return
    yield Token(_text(node.get("system")), value[:LONGEST])
    for coding in _dicts(kind.get("coding")) if isinstance(kind, dict) else ():
        if isinstance(coding.get("code"), str):
            yield OfType(_text(coding.get("system")), coding["code"], value[:LONGEST])


def _token_text(text: Any) -> Iterator[Value]:
    if isinstance(text, str) and text.strip():
        yield TokenText(text[:LONGEST])


def _reference(node: Any, _place: Place, base: Base) -> Iterator[Value]:
    if isinstance(node, str):  # canonical or uri
        yield Reference("", node[:LONGEST])
        if "|" in node:
            yield Reference("", node[:LONGEST].partition("|")[0])
        return
    if not isinstance(node, dict):
        return
    found = literal(node["reference"], base) if isinstance(node.get("reference"), str) else None
    if found is not None:
        yield found
    identifier = node.get("identifier")
    if isinstance(identifier, dict) and isinstance(identifier.get("value"), str):
        yield LogicalReference(_text(identifier.get("system")), identifier["value"][:LONGEST])


def _date(node: Any, place: Place, _base: Base) -> Iterator[Value]:
    try:
        if isinstance(node, str):
            yield Span(*span(node), node)
        elif isinstance(node, dict) and place.data == "Timing":
            yield from _timing(node)
        elif isinstance(node, dict):
            yield from _period(node)
    except Invalid:
        return


def _period(node: Mapping[str, Any]) -> Iterator[Span]:
    start, end = node.get("start"), node.get("end")
    low = span(start)[0] if isinstance(start, str) else EARLIEST
    high = span(end)[1] if isinstance(end, str) else LATEST
    if (low, high) != (EARLIEST, LATEST):
        yield Span(low, max(low, high))


def _timing(node: Mapping[str, Any]) -> Iterator[Span]:
    """From the first to the last event, or the bounds (R4 3.1.1.4.7: outer limits)."""
    events = [span(each) for each in node.get("event", ()) if isinstance(each, str)]
    if events:
        yield Span(min(low for low, _ in events), max(high for _, high in events))
    bounds = node.get("repeat", {}).get("boundsPeriod") if isinstance(node.get("repeat"), dict) else None
    if isinstance(bounds, dict):
        yield from _period(bounds)


def _string(node: Any, place: Place, _base: Base) -> Iterator[Value]:
    if isinstance(node, str):
        if node.strip():
            yield Text(node[:LONGEST])
    elif isinstance(node, dict):
        for name in _HUMAN_NAME if place.data == "HumanName" else _ADDRESS:
            part = node.get(name)
            for each in part if isinstance(part, list) else (part,):
                if isinstance(each, str) and each.strip():
                    yield Text(each[:LONGEST])


def _number(node: Any, _place: Place, _base: Base) -> Iterator[Value]:
    value = _decimal(node)
    if value is not None:
        yield Amount(float(value), float(value))


def _quantity(node: Any, place: Place, _base: Base) -> Iterator[Value]:
    if not isinstance(node, dict):
        return
    if place.data == "Range":
        yield from _range(node)
    elif place.data == "SampledData":
        yield from _samples(node)
    else:
        value = _decimal(node.get("value"))
        if value is not None:
            yield _amount(node, *_compared(float(value), node.get("comparator")))


def _compared(value: float, comparator: Any) -> tuple[float, float]:
    if comparator in ("<", "<="):
        return -_INFINITE, value
    return (value, _INFINITE) if comparator in (">", ">=") else (value, value)


def _range(node: Mapping[str, Any]) -> Iterator[Amount]:
    ends = [node[name] for name in ("low", "high") if isinstance(node.get(name), dict)]
    values = [_decimal(end.get("value")) for end in ends]
    if not ends or None in values:
        return
    low = float(values[0] or 0) if "low" in node else -_INFINITE
    high = float(values[-1] or 0) if "high" in node else _INFINITE
    yield _amount(ends[0], low, high)


def _samples(node: Mapping[str, Any]) -> Iterator[Amount]:
    """From the least to the greatest sample, in the unit of the origin."""
    origin, data = node.get("origin"), node.get("data")
    if not isinstance(origin, dict) or not isinstance(data, str):
        return
    zero, factor = _decimal(origin.get("value")), _decimal(node.get("factor", 1))
    found = [
        each for word in data[: 8 * _MAX_SAMPLES].split()[:_MAX_SAMPLES] if (each := _decimal_of(word)) is not None
    ]
    if zero is not None and factor is not None and found:
        ends = sorted((float(zero + min(found) * factor), float(zero + max(found) * factor)))
        yield _amount(origin, *ends)


def _amount(node: Mapping[str, Any], low: float, high: float) -> Amount:
    if currency := _text(node.get("currency")):  # Money: its code is one of ISO 4217 by definition
        return Amount(low, high, _CURRENCIES, currency, currency)
    return Amount(low, high, _text(node.get("system")), _text(node.get("code")), _text(node.get("unit")))


def _uri(node: Any, _place: Place, _base: Base) -> Iterator[Value]:
    if isinstance(node, str) and node:
        yield Uri(node[:LONGEST])


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _decimal_of(str(value))


def _decimal_of(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _text(value: Any) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict):
            yield each


READERS: dict[str, Callable[[Any, Place, Base], Iterator[Value]]] = {
    "token": _token,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "number": _number,
    "quantity": _quantity,
    "uri": _uri,
}
