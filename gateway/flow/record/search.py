"""Answers a search over the store: a page of opened resources, what goes with them, and how many there are.

The index finds keys by hashes. Where a hash says less than was asked (the beginning of a name), each candidate is
opened and asked; a chain over such a condition is settled first, from its far end (R4 3.1.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gateway.domain.criterion import (
    EVERY_TYPE,
    AllOf,
    Among,
    Chained,
    Criterion,
    Order,
    Place,
    Reverse,
    is_lossy,
    types_of,
)
from gateway.domain.errors import Forbidden, Unsupported
from gateway.domain.resource import StoredVersion
from gateway.flow.record.at_once import FIRST, MOST_OPENED, at_once
from gateway.formats.fhir.element import Resource
from gateway.formats.fhir.search.confirms import confirms
from gateway.formats.fhir.search.query import Include, SearchQuery
from gateway.formats.fhir.search.subset import subset
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.ports import UnitOfWork

MAX_LOOKED_AT = 500  # candidates opened for one page; a rarer match gives a short page with a link
MAX_SETTLED = 1000  # resources that one link of a chain may lead over, where each has to be opened
MAX_COUNTED = 1_000_000
MAX_INCLUDED = 1000
_AT_ONCE = 64  # rows fetched together; each is opened only when its turn comes
_ANY_KEY = (1 << 63) - 1
MAX_ROUNDS = 5  # of _include:iterate
Open = Callable[[StoredVersion], bytes]
MayRead = Callable[[str], bool]


@dataclass(frozen=True)
class Position:
    """Where a page begins. `until` is the newest key of the first page, so that later writes move nothing."""

    until: int
    after: Place | None = None


@dataclass(frozen=True)
class Shown:
    """A found resource as it is to be shown: as it was written, or `part` of it."""

    stored: StoredVersion
    body: bytes = field(repr=False)
    part: Resource | None = field(default=None, repr=False)


@dataclass(frozen=True)
class FoundPage:
    """`withheld` are types of which something would have been included, had the client a scope for them.

    `following` is None on the last page. `is_cut` says that there was more to include than is included.
    """

    matches: tuple[Shown, ...] = ()
    included: tuple[Shown, ...] = ()
    total: int | None = None
    following: Position | None = None
    withheld: frozenset[str] = frozenset()
    is_cut: bool = False


@dataclass(frozen=True)
class SearchResources:
    """`open` gives the body of a stored version; `base` is this server's own FHIR address.

    What may not be seen is not included, whatever refers to it, and nothing is said of it.
    """

    open: Open
    base: str = ""
    may_see: Callable[[StoredVersion], bool] = lambda _: True

    def __call__(
        self, unit: UnitOfWork, query: SearchQuery, *, may_read: MayRead, position: Position | None = None
    ) -> FoundPage:
        """Forbidden where the answer would tell of a type that the client may not read."""
        looked_into = {kind for each in query.criteria for kind in types_of(query.kind, each)} - {EVERY_TYPE}
        for kind in sorted(looked_into):
            if not may_read(kind):
                raise Forbidden(f"this search looks into {kind}, and there is no scope for it")
        begin = position or Position(unit.resource_index.newest(query.kind))
        return _Search(self, unit, query, may_read, begin).page(position is None)


class _Search:
    """One search in one unit of work."""

    def __init__(
        self, step: SearchResources, unit: UnitOfWork, query: SearchQuery, may_read: MayRead, position: Position
    ) -> None:
        self._step, self._unit, self._query = step, unit, query
        self._may_read, self._position = may_read, position
        self._opened: dict[int, tuple[StoredVersion, bytes]] = {}
        self._readable: dict[int, StoredVersion] = {}
        self._unread: dict[int, str] = {}
        self._hidden: set[int] = set()
        self._weight = 0  # bytes of what is open
        self._at_once = FIRST
        self._is_cut = False

    def page(self, is_first: bool) -> FoundPage:
        query = self._query
        criteria = [self._settled(each) for each in query.criteria]
        if query.only_count:
            return FoundPage(total=self._count(criteria))
        places, following = self._places(criteria)
        keys = [place.key for place in places]
        included, withheld, is_cut = self._included(keys)
        total = len(places) if is_first and following is None else None
        if total is None and query.total in ("accurate", "estimate"):
            total = self._count(criteria)
        return FoundPage(
            matches=tuple(self._shown(keys)),
            included=tuple(self._shown(included)),
            total=total if query.total != "none" else None,
            following=following,
            withheld=withheld,
            is_cut=is_cut,
        )

    def _shown(self, keys: Sequence[int]) -> Iterator[Shown]:
        summary = self._query.summary
        for key in keys:
            stored, body = self._opened[key]
            elements = self._query.elements if self._query.kind in (EVERY_TYPE, stored.type) else ()
            in_part = summary != "false" or bool(elements)
            yield Shown(stored, body, subset(parse_json(body), summary, elements) if in_part else None)

    def _places(self, criteria: Sequence[Criterion]) -> tuple[list[Place], Position | None]:
        """The matches of this page, and where the next begins."""
        wanted, lossy = self._query.count, [each for each in criteria if is_lossy(each)]
        most = wanted + 1 if not lossy else max(wanted + 1, 50)
        found: list[Place] = []
        fetched: dict[int, StoredVersion] = {}
        after, looked_at = self._position.after, 0
        while True:
            batch = self._next(self._query.kind, criteria, after, most)
            for number, place in enumerate(batch.places):
                if len(found) == wanted or (found and self._weight > MOST_OPENED):
                    return found, replace(self._position, after=after)
                if place.key not in fetched:
                    fetched = self._fetched([each.key for each in batch.places[number : number + self._slice()]])
                self._keep(fetched[place.key])
                if self._fits(place.key, lossy):
                    found.append(place)
                else:
                    self._close(place.key)
                after, looked_at = place, looked_at + 1
            if batch.is_last:
                return found, None
            if looked_at >= MAX_LOOKED_AT:
                return found, replace(self._position, after=after)

    def _next(
        self,
        kind: str,
        criteria: Sequence[Criterion],
        after: Place | None,
        limit: int,
        order: Sequence[Order] | None = None,
        *,
        until: int | None = None,
    ) -> _Batch:
        """The next candidates."""
        found = self._unit.resource_index.page(
            kind,
            criteria,
            self._query.order if order is None else order,
            limit=limit,
            until=self._position.until if until is None else until,
            after=after,
        )
        return _Batch(found, len(found) < limit)

    def _slice(self) -> int:
        return min(self._at_once, _AT_ONCE)

    def _fetched(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """Rows, still sealed; the next time as many as these were light."""
        found = self._unit.resources.of_keys(keys)
        self._at_once = at_once(found, _AT_ONCE) if found else self._at_once
        return {stored.key: stored for stored in found}

    def _keep(self, stored: StoredVersion) -> None:
        body = self._step.open(stored)
        self._opened[stored.key] = stored, body
        self._weight += len(body)

    def _close(self, key: int) -> None:
        """What does not fit is not kept."""
        _, body = self._opened.pop(key)
        self._weight -= len(body)

    def _fits(self, key: int, lossy: Sequence[Criterion]) -> bool:
        return not lossy or confirms(parse_json(self._opened[key][1]), lossy, self._step.base)

    def _settled(self, criterion: Criterion) -> Criterion:
        """A chain over a condition that the index cannot decide becomes the resources that it leads over."""
        if not is_lossy(criterion):
            return criterion
        if isinstance(criterion, Chained):
            inner = tuple((kind, self._resolved(kind, each)) for kind, each in criterion.inner)
            return replace(criterion, inner=inner)
        if isinstance(criterion, Reverse):
            return replace(criterion, inner=self._resolved(criterion.kind, criterion.inner))
        if isinstance(criterion, AllOf):
            return AllOf(tuple(self._settled(part) for part in criterion.parts))
        return criterion

    def _resolved(self, kind: str, criterion: Criterion) -> Criterion:
        inner = self._settled(criterion)
        return Among(tuple(self._all(kind, inner))) if is_lossy(inner) else inner

    def _all(self, kind: str, criterion: Criterion) -> Iterator[int]:
        """Keys of all resources that fit, each opened and asked; also those newer than what is searched for."""
        parts = criterion.parts if isinstance(criterion, AllOf) else (criterion,)
        lossy = [part for part in parts if is_lossy(part)]
        after: Place | None = None
        looked_at = 0
        while True:
            batch = self._next(kind, parts, after, 200, order=(), until=_ANY_KEY)
            yield from self._fitting(batch.places, lossy)
            if batch.is_last:
                return
            after, looked_at = batch.places[-1], looked_at + len(batch.places)
            if looked_at >= MAX_SETTLED:
                raise Unsupported(f"more than {MAX_SETTLED} resources would have to be opened; narrow the search")

    def _fitting(self, places: Sequence[Place], lossy: Sequence[Criterion]) -> Iterator[int]:
        """Keys of those that fit; what has to be opened for it is not kept."""
        fetched: dict[int, StoredVersion] = {}
        for number, key in enumerate(place.key for place in places):
            if key not in self._opened and key not in fetched:
                fetched = self._fetched([place.key for place in places[number : number + self._slice()]])
            is_fresh = key not in self._opened
            if is_fresh:
                self._keep(fetched[key])
            fits = self._fits(key, lossy)
            if is_fresh:
                self._close(key)
            if fits:
                yield key

    def _count(self, criteria: Sequence[Criterion]) -> int:
        lossy = [each for each in criteria if is_lossy(each)]
        if not lossy:
            index = self._unit.resource_index
            return index.count(self._query.kind, criteria, until=self._position.until, most=MAX_COUNTED)
        return self._counted(criteria, lossy)

    def _counted(self, criteria: Sequence[Criterion], lossy: Sequence[Criterion]) -> int:
        after: Place | None = None
        count = looked_at = 0
        while True:
            batch = self._next(self._query.kind, criteria, after, 200, order=())
            count += sum(1 for _ in self._fitting(batch.places, lossy))
            if batch.is_last:
                return count
            after, looked_at = batch.places[-1], looked_at + len(batch.places)
            if looked_at >= MAX_SETTLED:
                raise Unsupported(
                    f"more than {MAX_SETTLED} resources would have to be opened to count; narrow the search"
                )

    def _included(self, matches: Sequence[int]) -> tuple[list[int], frozenset[str], bool]:
        """Keys of what goes with the matches, the types that were left out for want of a scope, and whether cut."""
        most = self._weight + MOST_OPENED
        found: dict[int, None] = {}
        withheld: set[str] = set()
        frontier, rounds = list(matches), 0
        includes: Sequence[Include] = self._query.includes
        while frontier and includes and rounds < MAX_ROUNDS:
            fresh = []
            for key in self._followed(frontier, includes, most):
                if key in found or key in matches or key in self._hidden:
                    continue
                kind = self._type_of(key)
                if key in self._unread:
                    withheld.add(kind)
                elif len(found) == MAX_INCLUDED or self._weight > most:
                    return list(found), frozenset(withheld), True
                else:
                    if key not in self._opened:
                        self._keep(self._readable.pop(key))
                    found[key] = None
                    fresh.append(key)
            includes = [each for each in includes if each.iterate]
            frontier, rounds = fresh, rounds + 1
        return list(found), frozenset(withheld), bool(frontier and includes) or self._is_cut

    def _followed(self, keys: Sequence[int], includes: Sequence[Include], most: int) -> Iterator[int]:
        """Those of which is known what they are, slice by slice, until more than `most` bytes are open."""
        index = self._unit.resource_index
        for include in includes:
            if include.reverse:
                found = index.referring(keys, include.link, MAX_INCLUDED + 1)
            else:
                source = include.link.source
                starts = [key for key in keys if source in (None, self._type_of(key))]
                found = index.referred(starts, include.link, MAX_INCLUDED + 1) if starts else []
            while found:
                if self._weight > most:
                    self._is_cut = True
                    break
                some, found = found[: self._slice()], found[self._slice() :]
                self._readable.clear()
                self._peek(some)
                yield from some

    def _peek(self, keys: Sequence[int]) -> None:
        """What may be read; of the rest only the type is known, and of what may not be seen nothing is told."""
        for stored in self._fetched([key for key in keys if key not in self._opened]).values():
            if not self._step.may_see(stored):
                self._hidden.add(stored.key)
            elif self._may_read(stored.type):
                self._readable[stored.key] = stored
            else:
                self._unread[stored.key] = stored.type

    def _type_of(self, key: int) -> str:
        """Of what was opened or peeked at."""
        if key in self._opened:
            return self._opened[key][0].type
        return self._readable[key].type if key in self._readable else self._unread[key]


@dataclass(frozen=True)
class _Batch:
    places: list[Place]
    is_last: bool
