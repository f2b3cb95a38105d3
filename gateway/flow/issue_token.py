"""Access tokens: issued to a system, looked at, and taken back (RFC 6749 4.4, RFC 7662, RFC 7009, RFC 8705 3).

A token that was asked for over a connection with a client certificate is bound to that certificate: whoever steals
the token cannot use it without the key.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from gateway.domain.access import Client, Grant, GrantKind
from gateway.domain.errors import Forbidden
from gateway.flow.client_certificate import PeerCertificate
from gateway.flow.grant_access import LONGEST_TOKEN, GrantAccess, digest
from gateway.flow.scopes import narrowed


@dataclass(frozen=True)
class IssuedToken:
    """A bearer token, shown once; `refresh` brings the next one, `patient` and `report` are ids of what is in context.

    `id_token` says who has signed in.
    """

    token: str = field(repr=False)
    scopes: tuple[str, ...]
    seconds: int
    refresh: str | None = field(default=None, repr=False)
    patient: str = ""
    report: str = ""
    id_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class IssueToken:
    """For clients that have proven who they are."""

    access: GrantAccess

    def to_system(
        self, client: Client, requested: str | None, address: str, certificate: PeerCertificate | None
    ) -> IssuedToken:
        """A token of the client's own; Forbidden where nothing of the requested scope is granted to it."""
        scopes = narrowed(client.scopes, requested)
        if not scopes:
            self.access.note("client:reject", client, address, reason="scope")
            raise Forbidden("none of the requested scopes is granted to this client")
        token, life = secrets.token_urlsafe(32), self.access.token_life
        bound = certificate.thumbprint if certificate else None
        expires_at = self.access.now() + life
        self.access.grant(Grant(digest(token), client.name, "token", scopes, expires_at, certificate=bound))
        return IssuedToken(token, scopes, int(life.total_seconds()))

    def introspect(self, client: Client, token: str) -> Grant | None:
        """What a client's own token still grants; None for all others, of which a client learns nothing."""
        if not 0 < len(token) <= LONGEST_TOKEN:
            return None
        with self.access.database.read() as unit:
            grant = unit.access.grant(digest(token), self.access.now())
            person = unit.access.person(grant.person) if grant and grant.person else None
        if grant is None or not _is_of(grant, client, ("token", "refresh")):
            return None
        return grant if grant.person is None or (person is not None and person.active) else None

    def revoke(self, client: Client, token: str) -> None:
        """Ends a client's own token, and with a refresh token all that came of its sign-in; others stay."""
        if not 0 < len(token) <= LONGEST_TOKEN:
            return
        with self.access.database.begin(f"client:{client.name}") as unit:
            grant = unit.access.grant(digest(token), self.access.now())
            if grant is None or not _is_of(grant, client, ("token", "refresh")):
                return
            unit.access.drop_grant(grant.token_hash)
            if grant.kind == "refresh" and grant.chain is not None:
                unit.access.drop_chain(grant.chain)
            unit.audit.record("client:revoke", client.id, f"client:{client.name}", kind=grant.kind)
            unit.commit()
        self.access.known.forget()


def _is_of(grant: Grant, client: Client, kinds: tuple[GrantKind, ...]) -> bool:
    return grant.kind in kinds and grant.holder == client.name
