"""Clients, persons and their grants, as rows (port `Access`).

A grant is known by the hash of its token alone, so that a copy of the database opens no door.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select, update

from gateway.domain.access import Client, ClientKind, Grant, Person, Role
from gateway.storage.access_tables import access_grant, client, person, used_assertion
from gateway.storage.bulk_tables import vault_bulk_job
from gateway.storage.id_token_tables import vault_id_token_key
from gateway.storage.transaction import Transaction

_ID_TOKEN_KEY = vault_id_token_key
_CLIENT = select(*(client.c[field.name] for field in fields(Client)))
_PERSON = select(*(person.c[field.name] for field in fields(Person)))
_CREDENTIALS = ("secret_hash", "jwks", "jwks_url", "certificates")
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

    def rotate_client(self, now: Client) -> bool:
        """Replaces by what a client proves who it is, and ends what it was granted; False where it is not active."""
        changed = {name: getattr(now, name) for name in _CREDENTIALS}
        found = self._transaction.execute(update(client).where(client.c.id == now.id, client.c.active), changed)
        if found.rowcount != 1:
            return False
        self.drop_grants(now.name)
        self._transaction.record("client:rotate", now.id, kind=now.kind, name=now.name, by=list(now.credentials))
        return True

    def disable_client(self, kind: ClientKind, name: str) -> bool:
        found = self.client(kind, name)
        if found is None or not found.active:
            return False
        self._transaction.execute(update(client).where(client.c.id == found.id), {"active": False})
        if kind == "fhir":
            self.drop_grants(name)
        self._transaction.record("client:disable", found.id, kind=kind, name=name)
        return True

    def person(self, name: str) -> Person | None:
        row = self._transaction.first(_PERSON.where(person.c.name == name))
        return None if row is None else Person(*row)

    def person_of(self, issuer: str, subject: str) -> Person | None:
        """The person behind an account of an identity provider."""
        row = self._transaction.first(_PERSON.where(person.c.issuer == issuer, person.c.subject == subject))
        return None if row is None else Person(*row)

    def set_role(self, person_: Person, role: Role) -> None:
        """What the identity provider says now."""
        self._transaction.execute(update(person).where(person.c.id == person_.id), {"role": role})
        self._transaction.record("person:role", person_.id, role=role, former=person_.role)

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

    def serves(self, client_name: str, token_hash: bytes | None) -> bool:
        """Whether the client may come in, with this token if it shows one; both stay as they are until the commit."""
        mine = select(client.c.id).where(client.c.kind == "fhir", client.c.name == client_name, client.c.active)
        if self._transaction.first(mine.with_for_update(read=True)) is None:
            return False
        shown = select(access_grant.c.holder).where(access_grant.c.token_hash == token_hash)
        return token_hash is None or self._transaction.first(shown.with_for_update(read=True)) is not None

    def drop_grant(self, token_hash: bytes) -> bool:
        """False where another has dropped it before: a code or refresh token serves once."""
        found = self._transaction.execute(delete(access_grant).where(access_grant.c.token_hash == token_hash))
        self._end_jobs(vault_bulk_job.c.grant_hash == token_hash)
        return found.rowcount == 1

    def drop_chain(self, chain: str) -> None:
        """Everything that came of one sign-in."""
        self._transaction.execute(delete(access_grant).where(access_grant.c.chain == chain))
        self._end_jobs(vault_bulk_job.c.chain == chain)

    def drop_grants(self, client_name: str) -> None:
        """Everything that a client holds."""
        mine = access_grant.c.holder == client_name
        self._transaction.execute(delete(access_grant).where(mine, access_grant.c.kind != "session"))
        self._end_jobs(vault_bulk_job.c.client == client_name)

    def _end_jobs(self, mine: ColumnElement[bool]) -> None:
        """What was begun with it and is not done yet goes no further: whoever carries it out finds the mark."""
        going_on = (vault_bulk_job.c.state == "accepted") & vault_bulk_job.c.revoked_at.is_(None)
        changes = {"revoked_at": self._transaction.now()}
        self._transaction.execute(update(vault_bulk_job).where(mine, going_on).values(changes))

    def id_token_key(self, own_id: str) -> bytes | None:
        row = self._transaction.first(select(_ID_TOKEN_KEY.c.sealed).where(_ID_TOKEN_KEY.c.id == own_id))
        return None if row is None else bytes(row[0])

    def keep_id_token_key(self, own_id: str, sealed: bytes, former_for: timedelta) -> bytes:
        now = self._transaction.now()
        former = (_ID_TOKEN_KEY.c.id != own_id) & (_ID_TOKEN_KEY.c.created_at < now - former_for)
        self._transaction.execute(delete(_ID_TOKEN_KEY).where(former))
        if self._transaction.insert_new(_ID_TOKEN_KEY, {"id": own_id, "sealed": sealed, "created_at": now}):
            self._transaction.record("key:create", own_id, purpose="id-token")
            return sealed
        return self.id_token_key(own_id) or sealed

    def use_assertion(self, digest: bytes, expires_at: datetime) -> bool:
        """False where it was used before, by this process or another; those that have expired are forgotten."""
        old = used_assertion.c.expires_at <= self._transaction.now()
        self._transaction.execute(delete(used_assertion).where(old))
        return self._transaction.insert_new(used_assertion, {"digest": digest, "expires_at": expires_at})
