"""Whether an opened resource fits a criterion: the proof behind every answer that the index cannot give exactly.

It reads the values that the index was made from and compares them as R4 3.1.1.4 says. Chains and `_has` need other
resources and are settled before (flow/record/search.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.domain.criterion import (
    AmountWanted,
    Criterion,
    OfTypeWanted,
    ReferenceWanted,
    SpanWanted,
    TextWanted,
    TogetherWanted,
    TokenWanted,
    UriWanted,
    ValueWanted,
    Wanted,
)
from gateway.domain.errors import Fault
from gateway.formats.fhir.search.compare import quantity_fits, span_fits
from gateway.formats.fhir.search.extract import values_of
from gateway.formats.fhir.search.references import Base
from gateway.formats.fhir.search.spelling import folded, sounds
from gateway.formats.fhir.search.values import (
    Amount,
    LogicalReference,
    OfType,
    Reference,
    Span,
    Text,
    Together,
    Token,
    TokenText,
    Uri,
    Value,
)


def confirms(resource: Mapping[str, Any], criteria: Iterable[Criterion], base: Base = "") -> bool:
    """Whether it fits all of them."""
    return all(_fits(resource, each, base) for each in criteria)


def _fits(resource: Mapping[str, Any], criterion: Criterion, base: Base) -> bool:
    if not isinstance(criterion, Wanted):
        raise Fault("a chain is settled before a resource is asked")
    values = values_of(resource, criterion.parameter, base)
    if criterion.modifier == "missing":
        return criterion.missing is not bool(values)
    found = any(_value_fits(criterion, value, wanted) for value in values for wanted in criterion.values)
    return found is not (criterion.modifier == "not")


def _value_fits(wanted: Wanted, value: Value, asked: ValueWanted) -> bool:
    return _COMPARED[type(asked)](wanted, value, asked)


def _token(wanted: Wanted, value: Value, asked: TokenWanted) -> bool:
    kind = LogicalReference if wanted.modifier == "identifier" else Token
    if not isinstance(value, kind):
        return False
    system, code = value
    return asked.system in (None, system) and asked.code in (None, code)


def _of_type(_: Wanted, value: Value, asked: OfTypeWanted) -> bool:
    return isinstance(value, OfType) and value == (asked.system, asked.code, asked.value)


def _reference(_: Wanted, value: Value, asked: ReferenceWanted) -> bool:
    return isinstance(value, Reference) and tuple(value) in asked.targets


def _span(_: Wanted, value: Value, asked: SpanWanted) -> bool:
    return isinstance(value, Span) and bool(span_fits(asked, value.low, value.high))


def _amount(_: Wanted, value: Value, asked: AmountWanted) -> bool:
    return isinstance(value, Amount) and quantity_fits(asked, value)


def _text(wanted: Wanted, value: Value, asked: TextWanted) -> bool:
    if wanted.modifier == "text":
        return isinstance(value, TokenText) and folded(value.text).startswith(folded(asked.text))
    if not isinstance(value, Text):
        return False
    if wanted.modifier == "exact":
        return value.text == asked.text
    if wanted.modifier == "contains":
        return folded(asked.text) in folded(value.text)
    if wanted.parameter.is_phonetic:
        return bool(sounds(value.text) & sounds(asked.text))
    return folded(value.text).startswith(folded(asked.text))


def _uri(wanted: Wanted, value: Value, asked: UriWanted) -> bool:
    if not isinstance(value, Uri):
        return False
    if wanted.modifier == "below":
        return _lies_below(value.uri, asked.uri)
    if wanted.modifier == "above":
        return _lies_below(asked.uri, value.uri)
    return value.uri == asked.uri


def _lies_below(uri: str, above: str) -> bool:
    plain = above.rstrip("/")
    return "://" in plain and (uri.rstrip("/") == plain or uri.startswith(f"{plain}/"))


def _together(wanted: Wanted, value: Value, asked: TogetherWanted) -> bool:
    if not isinstance(value, Together):
        return False
    pairs = zip(value.values, asked.values, strict=True)
    return all(_value_fits(wanted, each, part) for each, part in pairs)


_COMPARED: dict[type, Callable[[Wanted, Value, Any], bool]] = {
    TokenWanted: _token,
    OfTypeWanted: _of_type,
    ReferenceWanted: _reference,
    SpanWanted: _span,
    AmountWanted: _amount,
    TextWanted: _text,
    UriWanted: _uri,
    TogetherWanted: _together,
}
