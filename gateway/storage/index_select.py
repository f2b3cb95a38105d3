"""Criteria as SQL over the index tables: each becomes one condition on the row of a resource.

What a criterion finds is a SELECT of keys; a condition asks whether the resource is among them. SQLite takes
the selective ones as a list first and tries the others row by row; PostgreSQL plans by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import FromClause, Select, and_, exists, false, not_, or_, select, union_all

from gateway.domain.criterion import (
    EVERY_TYPE,
    AllOf,
    Among,
    Chained,
    Criterion,
    InCompartment,
    InRecord,
    OfTypes,
    Prefix,
    Reverse,
    SpanWanted,
    TokenWanted,
    Wanted,
)
from gateway.domain.errors import Unsupported
from gateway.domain.search_parameter import number
from gateway.storage import index_tables as tables
from gateway.storage.fhir_tables import vault_resource
from gateway.storage.index_fits import Fits, IndexFits, table_of
from gateway.storage.index_hash import IndexHash

Keys = Select[tuple[int]]
# Parameters of which a value says little, because many resources share it
COARSE = frozenset({"status", "category", "gender", "active", "intent", "_tag", "_security", "class", "deceased"})


def type_number(kind: str) -> int:
    """By what the index names a type; a wire law like the numbers of parameters."""
    return number(kind)


def among(found: Keys, row: FromClause, *, listed: bool) -> Fits:
    """Whether the resource of `row` is among those found; `listed`: they are listed first, and not tried row by row."""
    if listed:
        return row.c.key.in_(found)
    (key,) = found.selected_columns
    return exists(found.where(key == row.c.key).correlate(row))


class IndexSelect:
    """Conditions for one dialect. Unsupported and Invalid as the values raise them."""

    def __init__(self, hashed: IndexHash, base: str, *, is_postgresql: bool) -> None:
        self._fits = IndexFits(hashed, base)
        self._is_postgresql = is_postgresql

    def condition(self, criterion: Criterion, row: FromClause) -> Fits:
        """Whether the resource of `row` (an alias of index_resource) fits."""
        if isinstance(criterion, Wanted):
            own = _OWN.get(criterion.parameter.code, IndexSelect._valued)
            return own(self, criterion, row)
        if isinstance(criterion, Chained):
            return self._among(self._chained(criterion), row)
        if isinstance(criterion, Reverse):
            return self._among(self._reverse(criterion), row)
        if isinstance(criterion, AllOf):
            return and_(*(self.condition(part, row) for part in criterion.parts))
        return self._within(criterion, row)

    def _within(self, criterion: Among | InRecord | InCompartment | OfTypes, row: FromClause) -> Fits:
        """What narrows a search without being asked for by a parameter."""
        if isinstance(criterion, Among):
            return row.c.key.in_(criterion.keys) if criterion.keys else false()
        if isinstance(criterion, OfTypes):
            return row.c.type.in_([type_number(kind) for kind in criterion.kinds])
        if isinstance(criterion, InCompartment):
            return self._compartment(criterion, row)
        mine = vault_resource.alias()
        return self._among(select(mine.c.key).where(mine.c.owner.in_(criterion.owners)), row)

    def _valued(self, wanted: Wanted, row: FromClause) -> Fits:
        if wanted.modifier == "missing":
            present = or_(*(self._among(found, row, listed=False) for found in _present(wanted)))
            return not_(present) if wanted.missing else present
        found = self._keys(wanted)
        if wanted.modifier == "not":
            return not_(self._among(found, row, listed=False))
        ranges = wanted.parameter.kind in ("date", "number", "quantity")
        return self._among(found, row, listed=not ranges and wanted.parameter.code not in COARSE)

    def _among(self, found: Keys, row: FromClause, *, listed: bool = True) -> Fits:
        return among(found, row, listed=listed and not self._is_postgresql)

    def _keys(self, wanted: Wanted) -> Keys:
        """Keys of the resources that have a fitting value."""
        label = f"{wanted.parameter.name}:{wanted.modifier}"
        if wanted.modifier in ("identifier", "of-type"):
            tokens = tables.index_token.alias()
            fits = self._fits.any_token(label, wanted.values, tokens)
            return select(tokens.c.key).where(tokens.c.parameter == number(label), fits)
        if wanted.modifier == "text":
            texts = tables.index_string.alias()
            fits = self._fits.any_text(label, wanted.values, texts)
            return select(texts.c.key).where(texts.c.parameter == number(label), fits)
        table = table_of(wanted.parameter).alias()
        here = table.c.parameter == wanted.parameter.number
        return select(table.c.key).where(here, self._fits.any_of(wanted, table))

    def _chained(self, chained: Chained) -> Keys:
        reference, target = tables.index_reference.alias(), tables.index_resource.alias()
        inner = [and_(target.c.type == type_number(kind), self.condition(each, target)) for kind, each in chained.inner]
        found = select(reference.c.key).join(target, target.c.own == reference.c.target)
        return found.where(reference.c.parameter == chained.parameter.number, or_(*inner))

    def _reverse(self, reverse: Reverse) -> Keys:
        own, reference = tables.index_resource.alias(), tables.index_reference.alias()
        source = tables.index_resource.alias()
        found = select(own.c.key).join(reference, reference.c.target == own.c.own)
        return found.join(source, source.c.key == reference.c.key).where(
            reference.c.parameter == reverse.parameter.number,
            source.c.type == type_number(reverse.kind),
            self.condition(reverse.inner, source),
        )

    def _compartment(self, wanted: InCompartment, row: FromClause) -> Fits:
        """As one list of keys: with an OR beside it the databases would try every resource of the types."""
        own = self._fits.rows.own("Patient", wanted.own_id)
        reference, itself = tables.index_reference.alias(), tables.index_resource.alias()
        leading = reference.c.parameter.in_([each.number for each in wanted.parameters])
        found = select(reference.c.key).where(reference.c.target == own, leading)
        return row.c.key.in_(union_all(found, select(itself.c.key).where(itself.c.own == own)))

    def _ids(self, wanted: Wanted, row: FromClause) -> Fits:
        tokens = [each for each in wanted.values if isinstance(each, TokenWanted)]
        if wanted.modifier not in ("", "not") or any(each.system is not None for each in tokens):
            raise Unsupported("_id is searched by id alone")
        resource = vault_resource.alias()
        named = resource.c.id.in_([each.code for each in tokens])
        found = select(resource.c.key).where(named)
        if wanted.parameter.on != EVERY_TYPE:
            found = found.where(resource.c.type == wanted.parameter.on)
        among = self._among(found, row)
        return not_(among) if wanted.modifier == "not" else among

    def _updated(self, wanted: Wanted, row: FromClause) -> Fits:
        return or_(*(_updated(each, row) for each in wanted.values if isinstance(each, SpanWanted)))


_OWN: dict[str, Callable[[IndexSelect, Wanted, FromClause], Fits]] = {
    "_id": IndexSelect._ids,
    "_lastUpdated": IndexSelect._updated,
}
"""Parameters that are columns of the resource's own row."""


def _present(wanted: Wanted) -> list[Keys]:
    """Keys of the resources that have any value: a text or an identifier alone is one too."""
    parameter = wanted.parameter
    places: list[tuple[FromClause, int]] = [(table_of(parameter), parameter.number)]
    if parameter.kind == "token":
        places.append((tables.index_string, number(f"{parameter.name}:text")))
    if parameter.kind == "reference":
        places.append((tables.index_token, number(f"{parameter.name}:identifier")))
    aliases = [(table.alias(), code) for table, code in places]
    return [select(table.c.key).where(table.c.parameter == code) for table, code in aliases]


def _updated(wanted: SpanWanted, row: FromClause) -> Fits:
    """An instant is as long as the millisecond that it is written with; so bounds within one are moved to its ends."""
    low, high = wanted.low // 1000 * 1000, -(-wanted.high // 1000) * 1000
    at = row.c.updated_at
    meanings: dict[Prefix, Fits] = {
        "eq": and_(at >= low, at < high),
        "ne": or_(at < low, at >= high),
        "gt": at >= high,
        "lt": at < low,
        "ge": at >= low,
        "le": at < high,
        "sa": at >= high,
        "eb": at < low,
        "ap": and_(at < high + wanted.slack, at >= low - wanted.slack),
    }
    return meanings[wanted.prefix]
