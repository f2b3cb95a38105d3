"""Whether a row of an index table holds a wanted value, as SQL: one small function for each kind of parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, FromClause, and_, or_

from gateway.domain.criterion import (
    AmountWanted,
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
from gateway.domain.errors import Unsupported
from gateway.domain.search_parameter import Parameter
from gateway.formats.fhir.search.compare import amount_fits, canonical_wanted, span_fits
from gateway.formats.fhir.search.hidden_dates import marks_wanted
from gateway.formats.fhir.search.spelling import folded, sounds
from gateway.storage import index_tables as tables
from gateway.storage.index_hash import IndexHash
from gateway.storage.index_rows import RAW, TEXT_PIECE, IndexRows, ancestors

Fits = ColumnElement[bool]
_LAST_CHARACTER = chr(0x10FFFF)
_TABLES: dict[str, FromClause] = {
    "token": tables.index_token,
    "reference": tables.index_reference,
    "date": tables.index_date,
    "string": tables.index_text,
    "uri": tables.index_uri,
    "composite": tables.index_composite,
    "number": tables.index_quantity,
    "quantity": tables.index_quantity,
}


def table_of(parameter: Parameter) -> FromClause:
    """What may be identity lies as hashes in the table of strings, dates of birth too."""
    if parameter.is_hidden or parameter.is_phonetic:
        return tables.index_string
    return _TABLES[parameter.kind]


class IndexFits:
    """Conditions on the rows of one parameter, `table` being what `table_of` says or an alias of it."""

    def __init__(self, hashed: IndexHash, base: str) -> None:
        self.rows = IndexRows(hashed, base)
        self._hash = hashed

    def any_of(self, wanted: Wanted, table: FromClause) -> Fits:
        return _KINDS[wanted.parameter.kind](self, wanted, table)

    def any_token(self, label: str, values: Sequence[ValueWanted], table: FromClause) -> Fits:
        """Codes without a system go together, so that the index is walked once for all."""
        plain = [each for each in values if isinstance(each, TokenWanted) and each.system is None and each.code]
        fits = [self._token(label, each, table) for each in values if each not in plain]
        if plain:
            fits.append(table.c.code.in_([self._hash(label, each.code or "") for each in plain]))
        return or_(*fits)

    def any_text(self, label: str, values: Sequence[ValueWanted], table: FromClause) -> Fits:
        return table.c.hash.in_([self.rows.beginning_wanted(label, _text(each)) for each in values])

    def _tokens(self, wanted: Wanted, table: FromClause) -> Fits:
        return self.any_token(wanted.parameter.name, wanted.values, table)

    def _token(self, label: str, wanted: ValueWanted, table: FromClause) -> Fits:
        if isinstance(wanted, OfTypeWanted):
            code = self._hash(label, f"{wanted.code}\x1f{wanted.value}")
            return and_(table.c.code == code, table.c.system == self._hash(label, wanted.system))
        return and_(*self._code(label, wanted, table.c.code, table.c.system))

    def _code(
        self, label: str, wanted: ValueWanted, code: ColumnElement[int], system: ColumnElement[int]
    ) -> list[Fits]:
        fits: list[Fits] = []
        if isinstance(wanted, TokenWanted):
            if wanted.code is not None:
                fits.append(code == self._hash(label, wanted.code))
            if wanted.system is not None:
                fits.append(system == self._hash(label, wanted.system))
        return fits

    def _references(self, wanted: Wanted, table: FromClause) -> Fits:
        targets = [target for each in wanted.values if isinstance(each, ReferenceWanted) for target in each.targets]
        return table.c.target.in_([self.rows.own(*target) for target in targets])

    def _dates(self, wanted: Wanted, table: FromClause) -> Fits:
        spans = [each for each in wanted.values if isinstance(each, SpanWanted)]
        if not wanted.parameter.is_hidden:
            return or_(*(span_fits(each, table.c.low, table.c.high) for each in spans))
        marks = [mark for each in spans for mark in marks_wanted(each)]
        return table.c.hash.in_([self._hash(wanted.parameter.name, mark) for mark in marks])

    def _strings(self, wanted: Wanted, table: FromClause) -> Fits:
        texts = [_text(each) for each in wanted.values]
        if wanted.parameter.is_phonetic or wanted.parameter.is_hidden:
            return table.c.hash.in_([each for text in texts for each in self._hidden(wanted, text)])
        return or_(*(self._clear(wanted, text, table) for text in texts))

    def _hidden(self, wanted: Wanted, text: str) -> list[int]:
        name = wanted.parameter.name
        if wanted.parameter.is_phonetic:
            return [self._hash(name, f"s{sound}") for sound in sounds(text)]
        if wanted.modifier == "exact":
            return [self.rows.exactly(name, text)]
        return [self.rows.beginning_wanted(name, text)]

    def _clear(self, wanted: Wanted, text: str, table: FromClause) -> Fits:
        plain = folded(text)[: TEXT_PIECE // 2]
        if wanted.modifier == "exact":
            whole = table.c.value == folded(text)[:TEXT_PIECE]
            return and_(whole, table.c.exact == self.rows.exactly(wanted.parameter.name, text))
        if wanted.modifier == "contains":
            return table.c.value.contains(plain, autoescape=True)
        return and_(table.c.part == 0, table.c.value >= plain, table.c.value < plain + _LAST_CHARACTER)

    def _uris(self, wanted: Wanted, table: FromClause) -> Fits:
        given = [each.uri for each in wanted.values if isinstance(each, UriWanted)]
        return table.c.hash.in_([each for uri in given for each in self._uri(wanted, uri)])

    def _uri(self, wanted: Wanted, uri: str) -> list[int]:
        name = wanted.parameter.name
        if wanted.modifier == "below":
            return [self._hash(name, f"b{uri.rstrip('/')}")]
        if wanted.modifier == "above":
            return [self.rows.exactly(name, each) for plain in ancestors(uri) for each in (plain, f"{plain}/")]
        return [self.rows.exactly(name, uri)]

    def _amounts(self, wanted: Wanted, table: FromClause) -> Fits:
        name, columns = wanted.parameter.name, (table.c.system, table.c.code, table.c.text)
        return or_(*(self._amount(name, each, table, *columns) for each in wanted.values))

    def _amount(self, name: str, wanted: ValueWanted, table: FromClause, *named: ColumnElement[int]) -> Fits:
        """`named` are the columns of system, code and unit of the value as it was written."""
        if not isinstance(wanted, AmountWanted):
            raise Unsupported("this value is no number")
        in_ucum = canonical_wanted(wanted)
        if in_ucum is not None:
            form, canonically = in_ucum
            unit = table.c.unit == self._hash(name, f"u{form}")
            return and_(unit, amount_fits(canonically, table.c.low, table.c.high))
        fits = [table.c.unit == RAW, amount_fits(wanted, table.c.low, table.c.high)]
        if wanted.code is not None:
            system, code, text = named
            hashed = self._hash(name, wanted.code)
            fits.append(code == hashed if wanted.system else or_(code == hashed, text == hashed))
            if wanted.system:
                fits.append(system == self._hash(name, wanted.system))
        return and_(*fits)

    def _together(self, wanted: Wanted, table: FromClause) -> Fits:
        name = wanted.parameter.name
        return or_(*(self._tuple(name, each, table) for each in wanted.values if isinstance(each, TogetherWanted)))

    def _tuple(self, name: str, wanted: TogetherWanted, table: FromClause) -> Fits:
        token = next(each for each in wanted.values if isinstance(each, TokenWanted))
        rest = [each for each in wanted.values if each is not token]
        fits = [self._token(name, token, table)]
        if len(rest) == 1:
            return and_(*fits, self._other(name, rest[0], table))
        ends = zip(rest, (table.c.low, table.c.high), strict=True)  # two numbers, one in each column
        return and_(*fits, *(amount_fits(each, end, end) for each, end in ends if isinstance(each, AmountWanted)))

    def _other(self, name: str, wanted: ValueWanted, table: FromClause) -> Fits:
        """The component beside the token."""
        if isinstance(wanted, TokenWanted):
            code = None if wanted.code is None else f"t{wanted.code}"
            return and_(*self._code(name, TokenWanted(wanted.system, code), table.c.unit, table.c.other_system))
        if isinstance(wanted, ReferenceWanted):
            return table.c.unit.in_([self.rows.own(*target) for target in wanted.targets])
        if isinstance(wanted, SpanWanted):
            return and_(table.c.unit == RAW, span_fits(wanted, table.c.low, table.c.high))
        if isinstance(wanted, TextWanted):
            return table.c.unit == self.rows.beginning_wanted(name, wanted.text)
        return self._amount(name, wanted, table, table.c.other_system, table.c.other_code, table.c.other_text)


def _text(wanted: ValueWanted) -> str:
    return wanted.text if isinstance(wanted, TextWanted) else ""


_KINDS: dict[str, Callable[[IndexFits, Wanted, FromClause], Fits]] = {
    "token": IndexFits._tokens,
    "reference": IndexFits._references,
    "date": IndexFits._dates,
    "string": IndexFits._strings,
    "uri": IndexFits._uris,
    "composite": IndexFits._together,
    "number": IndexFits._amounts,
    "quantity": IndexFits._amounts,
}
