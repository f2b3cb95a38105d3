"""FHIR resources and their versions, as rows (port `Resources`); bodies come and go sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, insert, or_, select, tuple_, update

from gateway.domain.errors import Missing
from gateway.domain.resource import StoredVersion
from gateway.storage.fhir_tables import vault_resource, vault_resource_version
from gateway.storage.transaction import AnyRow, Transaction

_resource = vault_resource.c
_version = vault_resource_version.c
_VERSIONS = select(
    _resource.key,
    _resource.type,
    _resource.id,
    _version.version,
    _version.method,
    _version.at,
    _resource.owner,
    _version.sealed,
).join(vault_resource_version, _version.key == _resource.key)
_CURRENT = _VERSIONS.where(_version.version == _resource.version)


class SqlResources:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def find(self, kind: str, own_id: str) -> StoredVersion | None:
        row = self._transaction.first(_CURRENT.where(_resource.type == kind, _resource.id == own_id))
        return None if row is None else _stored(row)

    def named(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        found = self._transaction.all(_CURRENT.where(tuple_(_resource.type, _resource.id).in_(names))) if names else ()
        return {(row.type, row.id): _stored(row) for row in found}

    def of_keys(self, keys: Sequence[int]) -> list[StoredVersion]:
        found = self._transaction.all(_CURRENT.where(_resource.key.in_(keys))) if keys else ()
        stored = {row.key: _stored(row) for row in found}
        return [stored[key] for key in keys if key in stored]

    def version(self, kind: str, own_id: str, version: int) -> StoredVersion:
        one = and_(_resource.type == kind, _resource.id == own_id, _version.version == version)
        row = self._transaction.first(_VERSIONS.where(one))
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
            found = found.where(_version.at <= until)
        if after is not None:
            at, key, version = after
            later = and_(_version.key == key, _version.version < version)
            found = found.where(or_(_version.at < at, and_(_version.at == at, or_(_version.key < key, later))))
        newest_first = found.order_by(_version.at.desc(), _version.key.desc(), _version.version.desc()).limit(limit)
        return [_stored(row) for row in self._transaction.all(newest_first)]

    def of_owner(self, owner: str, limit: int, after: int = 0) -> list[StoredVersion]:
        mine = _CURRENT.where(_resource.owner == owner, _resource.key > after).order_by(_resource.key).limit(limit)
        return [_stored(row) for row in self._transaction.all(mine)]

    def insert(self, first: StoredVersion) -> bool:
        row = {
            "key": first.key,
            "type": first.type,
            "id": first.id,
            "version": first.version,
            "owner": first.owner,
            "updated_at": first.at,
        }
        if not self._transaction.insert_new(vault_resource, row):
            return False
        self._write_version(first)
        return True

    def replace(self, was: StoredVersion, now: StoredVersion) -> bool:
        guarded = update(vault_resource).where(_resource.key == was.key, _resource.version == was.version)
        moved = guarded.values(version=now.version, owner=now.owner, updated_at=now.at)
        if self._transaction.execute(moved).rowcount != 1:
            return False
        self._write_version(now)
        return True

    def _write_version(self, stored: StoredVersion) -> None:
        row = {name: getattr(stored, name) for name in ("key", "version", "method", "at", "sealed")}
        self._transaction.execute(insert(vault_resource_version), row)


def _stored(row: AnyRow) -> StoredVersion:
    key, kind, own_id, version, method, at, owner, sealed = row
    return StoredVersion(key, kind, own_id, version, method, at, owner, bytes(sealed))
