"""What a resource says, as rows of the index tables: one small function for each kind of parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Table

from gateway.domain.search_parameter import Parameter, number
from gateway.formats.fhir.search.compare import canonical_amount
from gateway.formats.fhir.search.extract import extract
from gateway.formats.fhir.search.hidden_dates import marks_of
from gateway.formats.fhir.search.spelling import folded, prefix_lengths, sounds
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
from gateway.storage import index_tables as tables
from gateway.storage.index_hash import IndexHash

Row = tuple[Any, ...]
Found = tuple[Table, Row]
TEXT_PIECE = 512  # characters of a text in clear in one row; pieces overlap by half
_ANCESTORS = 16
REFERENCE = "reference"  # label of hashes that several parameters share, so that they can be joined
RAW = 0


class IndexRows:
    """Rows of resources. `base` is this server's own address, for absolute references to ourselves."""

    def __init__(self, hashed: IndexHash, base: str) -> None:
        self._hash = hashed
        self._base = base

    def of(self, resource: Mapping[str, Any], key: int) -> dict[Table, set[Row]]:
        """Every row of one resource but that of the resource itself."""
        rows: dict[Table, set[Row]] = {}
        for parameter, values in extract(resource, self._base).items():
            if parameter.code not in ("_id", "_lastUpdated"):  # those are columns of the resource's own row
                for value in values:
                    for table, row in self._rows(parameter, value, key):
                        rows.setdefault(table, set()).add(row)
        return rows

    def own(self, kind: str, own_id: str) -> int:
        return self._hash(REFERENCE, f"{kind}\x1f{own_id}")

    def _rows(self, parameter: Parameter, value: Value, key: int) -> Iterator[Found]:
        return _ROWS[type(value)](self, parameter, value, key)

    def token(self, parameter: Parameter, value: Token, key: int) -> Iterator[Found]:
        name, hashed = parameter.name, self._hash
        yield tables.index_token, (parameter.number, hashed(name, value.code), key, hashed.system(name, value.system))

    def token_text(self, parameter: Parameter, value: TokenText, key: int) -> Iterator[Found]:
        name = f"{parameter.name}:text"
        for each in self.beginnings(name, value.text):
            yield tables.index_string, (number(name), each, key)

    def of_type(self, parameter: Parameter, value: OfType, key: int) -> Iterator[Found]:
        name = f"{parameter.name}:of-type"
        kind = f"{value.code}\x1f{value.value}"
        yield tables.index_token, (number(name), self._hash(name, kind), key, self._hash.system(name, value.system))

    def reference(self, parameter: Parameter, value: Reference, key: int) -> Iterator[Found]:
        yield tables.index_reference, (parameter.number, self.own(value.type, value.target), key)

    def logical(self, parameter: Parameter, value: LogicalReference, key: int) -> Iterator[Found]:
        name, hashed = f"{parameter.name}:identifier", self._hash
        yield tables.index_token, (number(name), hashed(name, value.value), key, hashed.system(name, value.system))

    def span(self, parameter: Parameter, value: Span, key: int) -> Iterator[Found]:
        if not parameter.is_hidden:
            yield tables.index_date, (parameter.number, value.low, value.high, key)
            return
        for mark in marks_of(value):
            yield tables.index_string, (parameter.number, self._hash(parameter.name, mark), key)

    def amount(self, parameter: Parameter, value: Amount, key: int) -> Iterator[Found]:
        for unit, low, high, system, code, text in self.measures(parameter.name, value):
            yield tables.index_quantity, (parameter.number, unit, low, high, key, system, code, text)

    def text(self, parameter: Parameter, value: Text, key: int) -> Iterator[Found]:
        name = parameter.name
        if parameter.is_phonetic:
            for sound in sounds(value.text):
                yield tables.index_string, (parameter.number, self._hash(name, f"s{sound}"), key)
        elif parameter.is_hidden:
            for each in (*self.beginnings(name, value.text), self.exactly(name, value.text)):
                yield tables.index_string, (parameter.number, each, key)
        else:
            plain, exact = folded(value.text), self.exactly(name, value.text)
            for part, start in enumerate(range(0, max(1, len(plain) - TEXT_PIECE // 2), TEXT_PIECE // 2)):
                yield tables.index_text, (parameter.number, plain[start : start + TEXT_PIECE], key, part, exact)

    def uri(self, parameter: Parameter, value: Uri, key: int) -> Iterator[Found]:
        yield tables.index_uri, (parameter.number, self.exactly(parameter.name, value.uri), key)
        for ancestor in ancestors(value.uri):
            yield tables.index_uri, (parameter.number, self._hash(parameter.name, f"b{ancestor}"), key)

    def together(self, parameter: Parameter, value: Together, key: int) -> Iterator[Found]:
        token = next(each for each in value.values if isinstance(each, Token))
        rest = [each for each in value.values if each is not token]
        code, system = self._hash(parameter.name, token.code), self._hash.system(parameter.name, token.system)
        for unit, low, high, *other in self._others(parameter.name, rest):
            yield tables.index_composite, (parameter.number, code, unit, low, high, key, system, *other)

    def _others(self, name: str, values: list[Value]) -> Iterator[Row]:
        """The components beside the token: unit, low, high, and three hashes."""
        first = values[0]
        if len(values) == 2 and isinstance(first, Amount) and isinstance(values[1], Amount):
            yield RAW, first.low, values[1].low, 0, 0, 0  # two numbers share the columns of a range
        elif isinstance(first, Amount):
            yield from self.measures(name, first)
        elif isinstance(first, Token):
            yield self._hash(name, f"t{first.code}"), 0.0, 0.0, self._hash(name, first.system), 0, 0
        elif isinstance(first, Reference):
            yield self.own(first.type, first.target), 0.0, 0.0, 0, 0, 0
        elif isinstance(first, Span):
            yield RAW, float(first.low), float(first.high), 0, 0, 0
        elif isinstance(first, Text):
            for each in self.beginnings(name, first.text):
                yield each, 0.0, 0.0, 0, 0, 0

    def measures(self, name: str, value: Amount) -> Iterator[Row]:
        """Unit, low, high, system, code, text: as it was written, and in the canonical unit."""
        hashed = self._hash
        named = (hashed.system(name, value.system), hashed(name, value.code), hashed(name, value.unit))
        yield RAW, value.low, value.high, *(named if value.code or value.unit else (0, 0, 0))
        canonically = canonical_amount(value)
        if canonically is not None:
            form, low, high = canonically
            yield hashed(name, f"u{form}"), low, high, 0, 0, 0

    def beginnings(self, name: str, text: str) -> Iterator[int]:
        """Of the first characters, few and more."""
        plain = folded(text)
        few, more = prefix_lengths(plain)
        yield self._hash(name, f"p{plain[:few]}")
        if len(plain) >= more:
            yield self._hash(name, f"q{plain[:more]}")

    def beginning_wanted(self, name: str, text: str) -> int:
        """The hash by which texts that begin with `text`, and some others, are found."""
        plain = folded(text)
        few, more = prefix_lengths(plain)
        return self._hash(name, f"q{plain[:more]}" if len(plain) >= more else f"p{plain[:few]}")

    def exactly(self, name: str, text: str) -> int:
        return self._hash(name, f"e{text}")


def ancestors(uri: str) -> list[str]:
    """A URL and what it lies below, by its path (R4 3.1.1.4.13); an URN has none."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return []
    steps = rest.rstrip("/").split("/")[:_ANCESTORS]
    return [f"{scheme}://{'/'.join(steps[: count + 1])}" for count in range(len(steps))]


_ROWS: dict[type, Callable[[IndexRows, Parameter, Any, int], Iterator[Found]]] = {
    Token: IndexRows.token,
    TokenText: IndexRows.token_text,
    OfType: IndexRows.of_type,
    Reference: IndexRows.reference,
    LogicalReference: IndexRows.logical,
    Span: IndexRows.span,
    Amount: IndexRows.amount,
    Text: IndexRows.text,
    Uri: IndexRows.uri,
    Together: IndexRows.together,
}
