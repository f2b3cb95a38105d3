"""FHIR resources and their versions, as rows (port `Resources`); bodies come and go sealed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ARRAY, Select, Text, and_, bindparam, exists, func, or_, select, tuple_, update

from gateway.domain.errors import Erased, Missing
from gateway.domain.resource import StoredVersion
from gateway.storage import tables
from gateway.storage.fhir_tables import vault_resource, vault_resource_version
from gateway.storage.prepared import Prepared, insert_rows, listed
from gateway.storage.transaction import RESOURCE_LOCK, Transaction

T = TypeVar("T")
_resource = vault_resource.c
_version = vault_resource_version.c
_patient = tables.patient.c
_VERSIONS = select(
    _resource.key,
    _resource.type,
    _resource.id,
    _version.version,
    _version.method,
    _version.at,
    _resource.owner,
    _version.sealed,
    _resource.ours,
).join(vault_resource_version, _version.key == _resource.key)
_CURRENT = _VERSIONS.where(_version.version == _resource.version)
_NAMED = and_(_resource.type == bindparam("of_type"), _resource.id == bindparam("of_id"))
_WANTED = (
    func.unnest(bindparam("of_types", type_=ARRAY(Text)), bindparam("of_ids", type_=ARRAY(Text)))
    .table_valued("type", "id")
    .render_derived()
)
_FIND = Prepared(_CURRENT.where(_NAMED))
_FIND_MANY = Prepared(_CURRENT.join(_WANTED, and_(_resource.type == _WANTED.c.type, _resource.id == _WANTED.c.id)))
_OF_KEYS = Prepared(lambda dialect: _CURRENT.where(listed(_resource.key, "keys", dialect)))
_LIVING = Prepared(
    lambda dialect: (
        select(_patient.erased_at)
        .where(listed(_patient.pseudonym, "owners", dialect))
        .order_by(_patient.pseudonym)
        .with_for_update(key_share=True, read=True)
    )
)
_HELD = Prepared(
    lambda dialect: (
        select(_resource.key, _resource.version)
        .where(listed(_resource.key, "keys", dialect))
        .order_by(_resource.key)
        .with_for_update()
    )
)
_ONE_VERSION = Prepared(_VERSIONS.where(_NAMED, _version.version == bindparam("of_version")))
_INSERT = insert_rows(vault_resource, gives_way=True)
_INSERT_VERSION = insert_rows(vault_resource_version)
_REPLACE = Prepared(
    update(vault_resource).where(_resource.key == bindparam("of_key"), _resource.version == bindparam("of_version")),
    sets=("version", "owner", "updated_at", "ours"),
)
_AT_ONCE = 500  # names in one statement


class SqlResources:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._foreseen: dict[tuple[str, str], StoredVersion | None] = {}

    def find(self, kind: str, own_id: str) -> StoredVersion | None:
        if (kind, own_id) in self._foreseen:
            return self._foreseen.pop((kind, own_id))
        row = self._transaction.row(_FIND, {"of_type": kind, "of_id": own_id})
        return None if row is None else _stored(row)

    def named(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        if len(names) == 1:
            one = self.find(*names[0])
            return {} if one is None else {one.name: one}
        found: dict[tuple[str, str], StoredVersion] = {}
        for some in _parts(names):
            if self._transaction.is_postgresql:
                found |= self._many(some)
                continue
            rows = self._transaction.all(_CURRENT.where(tuple_(_resource.type, _resource.id).in_(some)))
            found |= {(row.type, row.id): _stored(row) for row in rows}
        return found

    def _many(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        distinct = dict.fromkeys(names)
        lists = {"of_types": [kind for kind, _ in distinct], "of_ids": [own_id for _, own_id in distinct]}
        stored = [_stored(row) for row in self._transaction.rows(_FIND_MANY, lists)]
        return {one.name: one for one in stored}

    def foresee(self, names: Sequence[tuple[str, str]]) -> None:
        """SQLite answers in the process, one as fast as many."""
        if self._transaction.is_postgresql and len(names) > 1:
            found = self._many(names)
            self._foreseen = {name: found.get(name) for name in names}

    def of_keys(self, keys: Sequence[int]) -> list[StoredVersion]:
        stored: dict[int, StoredVersion] = {}
        for some in _parts(keys):
            stored |= {row[0]: _stored(row) for row in self._transaction.rows(_OF_KEYS, {"keys": some})}
        return [stored[key] for key in keys if key in stored]

    def version(self, kind: str, own_id: str, version: int) -> StoredVersion:
        row = self._transaction.row(_ONE_VERSION, {"of_type": kind, "of_id": own_id, "of_version": version})
        if row is None:
            raise Missing("no such version of a resource")
        return _stored(row)

    def history(
        self,
        *,
        kind: str | None = None,
        own_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        current_since: datetime | None = None,
        limit: int,
        after: tuple[datetime, int, int] | None = None,
    ) -> list[StoredVersion]:
        found: Select[*tuple[Any, ...]] = _VERSIONS
        if kind is not None:
            found = found.where(_resource.type == kind)
        if own_id is not None:
            found = found.where(_resource.id == own_id)
        if since is not None:
            found = found.where(_version.at >= since)
        if until is not None:
            found = found.where(_version.at < until)
        if current_since is not None:
            found = found.where(~_replaced_before(current_since))
        if after is not None:
            at, key, version = after
            later = and_(_version.key == key, _version.version < version)
            found = found.where(or_(_version.at < at, and_(_version.at == at, or_(_version.key < key, later))))
        newest_first = found.order_by(_version.at.desc(), _version.key.desc(), _version.version.desc()).limit(limit)
        return [_stored(row) for row in self._transaction.all(newest_first)]

    def of_owner(self, owner: str, limit: int, after: int = 0, kind: str | None = None) -> list[StoredVersion]:
        mine = _CURRENT.where(_resource.owner == owner, _resource.key > after).order_by(_resource.key).limit(limit)
        if kind is not None:
            mine = mine.where(_resource.type == kind)
        return [_stored(row) for row in self._transaction.all(mine)]

    def deleted(self, kind: str, since: datetime, until: datetime, limit: int, after: int = 0) -> list[StoredVersion]:
        then = and_(_version.at >= since, _version.at <= until)
        gone = _CURRENT.where(_resource.type == kind, _version.method == "DELETE", then, _resource.key > after)
        return [_stored(row) for row in self._transaction.all(gone.order_by(_resource.key).limit(limit))]

    def following(self, after: int, until: int, limit: int) -> list[StoredVersion]:
        these = _CURRENT.where(_resource.key > after, _resource.key <= until).order_by(_resource.key).limit(limit)
        return [_stored(row) for row in self._transaction.all(these)]

    def last_key(self) -> int:
        row = self._transaction.first(select(func.max(_resource.key)))
        return 0 if row is None or row[0] is None else int(row[0])

    def hold(self, owners: Sequence[str], keys: Sequence[int], conditions: Sequence[int]) -> Mapping[int, int]:
        """All in one order, so that two writers wait for each other and seldom lock each other out."""
        for condition in sorted(set(conditions)):
            self._transaction.serialize(RESOURCE_LOCK ^ condition)
        for some in _parts(sorted(set(owners))):
            if any(erased_at is not None for (erased_at,) in self._transaction.rows(_LIVING, {"owners": some})):
                raise Erased("this patient was erased")
        versions: dict[int, int] = {}
        for part in _parts(sorted(set(keys))):
            versions |= dict(self._transaction.rows(_HELD, {"keys": part}))
        return versions

    def insert(self, first: StoredVersion) -> bool:
        return self.write([(None, first)])

    def replace(self, was: StoredVersion, now: StoredVersion) -> bool:
        return self.write([(was, now)])

    def write(self, changes: Sequence[tuple[StoredVersion | None, StoredVersion]]) -> bool:
        new = [_row(now) for was, now in changes if was is None]
        if new and self._transaction.run_many(_INSERT, new) != len(new):
            return False
        for was, now in changes:
            if was is not None and not self._transaction.run(_REPLACE, _moved(was, now)):
                return False
        self._transaction.run_many(_INSERT_VERSION, [_version_row(now) for _, now in changes])
        return True


def _replaced_before(moment: datetime) -> Any:
    """Whether a version was followed by another at or before `moment`."""
    newer = vault_resource_version.alias("newer")
    follows = and_(newer.c.key == _version.key, newer.c.version == _version.version + 1)
    return exists().where(follows, newer.c.at <= moment)


def _stored(row: Sequence[Any]) -> StoredVersion:
    key, kind, own_id, version, method, at, owner, sealed, ours = row
    return StoredVersion(key, kind, own_id, version, method, at, owner, bytes(sealed), bool(ours))


def _row(first: StoredVersion) -> dict[str, Any]:
    return {
        "key": first.key,
        "type": first.type,
        "id": first.id,
        "version": first.version,
        "owner": first.owner,
        "updated_at": first.at,
        "ours": first.ours,
    }


def _moved(was: StoredVersion, now: StoredVersion) -> dict[str, Any]:
    return {
        "of_key": was.key,
        "of_version": was.version,
        "version": now.version,
        "owner": now.owner,
        "updated_at": now.at,
        "ours": now.ours,
    }


def _version_row(stored: StoredVersion) -> dict[str, Any]:
    return {name: getattr(stored, name) for name in ("key", "version", "method", "at", "sealed")}


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
