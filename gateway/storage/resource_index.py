"""The search index over FHIR resources (port `ResourceIndex`): rows written with the resource, keys found by criteria.

Everything runs inside the caller's transaction, so that a resource and what finds it are durable together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import ColumnElement, FromClause, Select, Table, delete, func, literal, select

from gateway.domain.criterion import EVERY_TYPE, Criterion, InRecord, Link, Order, Place, is_lossy
from gateway.domain.errors import Fault, Invalid, Unsupported
from gateway.domain.resource import Change
from gateway.formats.fhir.search.read_criterion import criterion, printable
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.storage import index_tables as tables
from gateway.storage.columns import microseconds
from gateway.storage.fhir_tables import vault_resource
from gateway.storage.index_hash import Derive, IndexHash
from gateway.storage.index_order import ordered
from gateway.storage.index_rows import IndexRows, Row
from gateway.storage.index_select import IndexSelect, type_number
from gateway.storage.index_writes import delete_all, insert_all
from gateway.storage.token_question import token_question
from gateway.storage.transaction import Transaction

MAX_CRITERIA = 20
_ANY = (1 << 63) - 1


@dataclass(frozen=True)
class IndexSettings:
    """What the index is built with: how its keys are made, and this server's own FHIR address."""

    derive: Derive
    base: str = ""

    @cached_property
    def hashed(self) -> IndexHash:
        return IndexHash(self.derive)


class SqlResourceIndex:
    def __init__(self, transaction: Transaction, settings: IndexSettings | None) -> None:
        if settings is None:
            raise Fault("this process holds no key of the search index")
        self._hashed = hashed = settings.hashed
        self._transaction = transaction
        self._reading = Reading(settings.base, transaction.now())
        self._rows = IndexRows(hashed, settings.base)
        self._select = IndexSelect(hashed, settings.base, is_postgresql=transaction.is_postgresql)

    def put(self, changes: Sequence[Change]) -> None:
        """Replaces the rows of these resources; of several changes to one the last counts."""
        last = {change.stored.key: change for change in changes}
        known = {change.stored.key for change in changes if change.previous is not None}
        self.forget(sorted(known | {key for key, change in last.items() if change.resource is None}))
        rows: dict[Table, set[Row]] = {}
        for key, change in last.items():
            if change.resource is None:
                continue
            stored = change.stored
            own = self._rows.own(stored.type, stored.id)
            itself = (type_number(stored.type), key, own, microseconds(stored.at))
            rows.setdefault(tables.index_resource, set()).add(itself)
            for table, found in self._rows.of(change.resource, key).items():
                rows.setdefault(table, set()).update(found)
        if rows:
            insert_all(self._transaction, rows)

    def forget(self, keys: Sequence[int]) -> None:
        """Deletes the rows of these resources."""
        if keys:
            delete_all(self._transaction, keys)

    def forget_strays(self, after: int, until: int) -> None:
        """Deletes the rows of keys in this range (`until` with it) that no resource has."""
        for table in tables.ALL:
            has_one = select(vault_resource.c.key).where(vault_resource.c.key == table.c.key).exists()
            self._transaction.execute(delete(table).where(table.c.key > after, table.c.key <= until, ~has_one))

    def matching(
        self, kind: str, criteria: Sequence[tuple[str, str]], limit: int, *, owner: str | None = None
    ) -> list[int]:
        """Keys of the current resources of a type that match, newest first: for conditional interactions."""
        strict: list[Criterion] = [self._strict(kind, *each) for each in self._some(criteria)]
        if owner is not None:
            strict.append(InRecord((owner,)))
        question = token_question(kind, strict, limit, self._hashed)
        if question is not None:
            return [key for (key,) in self._transaction.rows(*question)]
        return [place.key for place in self.page(kind, strict, (), limit=limit, until=_ANY, after=None)]

    def newest(self, kind: str) -> int:
        """The greatest key of a type, or of all; 0 where there is none."""
        row = tables.index_resource
        greatest = select(func.max(row.c.key))
        found = self._transaction.first(greatest if kind == EVERY_TYPE else greatest.where(_is_of(row, kind)))
        return 0 if found is None or found[0] is None else int(found[0])

    def page(
        self,
        kind: str,
        criteria: Sequence[Criterion],
        order: Sequence[Order],
        *,
        limit: int,
        until: int,
        after: Place | None,
    ) -> list[Place]:
        """The next places in this order, the newest first among equals; no key above `until`."""
        keys = self._keys(kind, criteria, until)
        found = self._transaction.all(ordered(keys, order, after, self._transaction.is_postgresql).limit(limit))
        return [Place(tuple(values), key) for *values, key in found]

    def count(self, kind: str, criteria: Sequence[Criterion], *, until: int, most: int) -> int:
        """How many there are; counting ends at `most`."""
        some = self._keys(kind, criteria, until).with_only_columns(literal(1)).limit(most).subquery()
        ((found,),) = self._transaction.all(select(func.count()).select_from(some))
        return int(found)

    def referred(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that these refer to."""
        reference, target = tables.index_reference, tables.index_resource.alias()
        found = (
            select(target.c.key).join(reference, reference.c.target == target.c.own).where(reference.c.key.in_(keys))
        )
        return self._linked(found, target, link, link.target, limit)

    def referring(self, keys: Sequence[int], link: Link, limit: int) -> list[int]:
        """Keys of the resources that refer to these."""
        reference, own, source = tables.index_reference, tables.index_resource.alias(), tables.index_resource.alias()
        found = select(source.c.key).join(reference, reference.c.key == source.c.key)
        found = found.join(own, own.c.own == reference.c.target).where(own.c.key.in_(keys))
        return self._linked(found, source, link, link.source, limit)

    def _linked(
        self, found: Select[tuple[int]], row: FromClause, link: Link, kind: str | None, limit: int
    ) -> list[int]:
        if link.parameter is not None:
            found = found.where(tables.index_reference.c.parameter == link.parameter.number)
        if kind is not None:
            found = found.where(row.c.type == type_number(kind))
        return [key for (key,) in self._transaction.all(found.distinct().order_by(row.c.key.desc()).limit(limit))]

    def _keys(self, kind: str, criteria: Sequence[Criterion], until: int) -> Select[tuple[int]]:
        row = tables.index_resource.alias("found")
        fits = [self._select.condition(each, row) for each in criteria]
        found = select(row.c.key).where(row.c.key <= until, *fits)
        return found if kind == EVERY_TYPE else found.where(_is_of(row, kind))

    def _some(self, criteria: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        if not 0 < len(criteria) <= MAX_CRITERIA:
            raise Invalid(f"a condition has one to {MAX_CRITERIA} parameters")
        return criteria

    def _strict(self, kind: str, name: str, value: str) -> Criterion:
        try:
            found = criterion(kind, name, value, self._reading)
        except Unsupported as error:
            raise Invalid(str(error)) from None
        if is_lossy(found):
            raise Invalid(f"a condition takes {printable(name)} with the modifier :exact only")
        return found


def _is_of(row: FromClause, kind: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = row.c.type == type_number(kind)
    return found
