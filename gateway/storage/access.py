"""Clients, persons and their grants, as rows (port `Access`).

A grant is known by the hash of its token alone, so that a copy of the database opens no door.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime

from sqlalchemy import delete, select, update

from gateway.domain.access import Client, ClientKind, Grant, Person
from gateway.storage.tables import access_grant, client, person
from gateway.storage.transaction import Transaction

_CLIENT = select(*(client.c[field.name] for field in fields(Client)))
_PERSON = select(*(person.c[field.name] for field in fields(Person)))
_GRANT = select(*(access_grant.c[field.name] for field in fields(Grant)))


class SqlAccess:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def client(self, kind: ClientKind, name: str) -> Client | None:
        row = self._transaction.first(_CLIENT.where(client.c.kind == kind, client.c.name == name))
        return None if row is None else Client(*row)

    def clients(self) -> list[Client]:
        return [Client(*row) for row in self._transaction.all(_CLIENT.order_by(client.c.kind, client.c.name))]

    def add_client(self, client_: Client) -> None:
        """Conflict where a client of this kind and name exists."""
        self._transaction.execute(client.insert(), vars(client_))
        self._transaction.record("client:add", client_.id, kind=client_.kind, name=client_.name)

    def disable_client(self, kind: ClientKind, name: str) -> bool:
        found = self.client(kind, name)
        if found is None or not found.active:
            return False
        self._transaction.execute(update(client).where(client.c.id == found.id), {"active": False})
        self._transaction.record("client:disable", found.id, kind=kind, name=name)
        return True

    def person(self, name: str) -> Person | None:
        row = self._transaction.first(_PERSON.where(person.c.name == name))
        return None if row is None else Person(*row)

    def add_person(self, person_: Person) -> None:
        """Conflict where a person of this name exists."""
        self._transaction.execute(person.insert(), vars(person_))
        self._transaction.record("person:add", person_.id, role=person_.role)

    def add_grant(self, grant: Grant) -> None:
        """Also forgets the grants that have expired, so that the table stays small."""
        self._transaction.execute(delete(access_grant).where(access_grant.c.expires_at <= self._transaction.now()))
        self._transaction.execute(access_grant.insert(), vars(grant))

    def grant(self, token_hash: bytes, now: datetime) -> Grant | None:
        living = access_grant.c.expires_at > now
        row = self._transaction.first(_GRANT.where(access_grant.c.token_hash == token_hash, living))
        return None if row is None else Grant(*row)

    def drop_grant(self, token_hash: bytes) -> None:
        self._transaction.execute(delete(access_grant).where(access_grant.c.token_hash == token_hash))
