"""Who is asking: FHIR clients by secret, signed assertion, certificate or bearer token; people by password and session.

RFC 6749 2.3, RFC 6750, RFC 7523, RFC 8705. Every success and failure is audited; a token or session is stored as its
hash alone, so that a copy of the database opens no door. A name that is not known is never written down: it may be a
password typed too early.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.domain.access import Caller, Client, Grant, Person
from gateway.domain.errors import Forbidden, Invalid
from gateway.flow import client_certificate, secret_hash
from gateway.flow.attempts import Attempts, TooManyAttempts
from gateway.flow.client_assertion import AssertionRefused, ClientAssertions, issuer_of
from gateway.flow.client_certificate import PeerCertificate
from gateway.flow.known_grants import Holder, KnownGrants
from gateway.flow.scopes import of_context
from gateway.flow.verified_secrets import VerifiedSecrets
from gateway.ports import Database

UNKNOWN = "unknown"
LONGEST_TOKEN = 256
_LONGEST_NAME = 128


class NotAuthenticated(Forbidden):
    """Nobody we know: the wire answers with its own challenge (HTTP 401)."""


@dataclass(frozen=True)
class Presented:
    """What a request shows of who it is; `client_id` may be empty beside an assertion."""

    client_id: str = ""
    secret: str | None = field(default=None, repr=False)
    assertion: str | None = field(default=None, repr=False)
    certificate: PeerCertificate | None = None


@dataclass(frozen=True)
class GrantAccess:
    """Lets in clients and people. `address` is where the request came from."""

    database: Database
    token_life: timedelta
    session_life: timedelta
    assertions: ClientAssertions | None = None
    attempts: Attempts = field(default_factory=Attempts)
    stale_tokens: Attempts = field(default_factory=Attempts)
    verified: VerifiedSecrets = field(default_factory=VerifiedSecrets)
    known: KnownGrants = field(default_factory=KnownGrants)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def authenticate(self, shown: Presented, address: str) -> Client:
        """The client that has proven who it is by one means. NotAuthenticated, Invalid, or TooManyAttempts (Busy)."""
        if shown.secret is not None and shown.assertion is not None:
            raise Invalid("give a secret or an assertion, not both")
        if shown.assertion is not None:
            return self._by_assertion(shown, shown.assertion, address)
        if shown.secret is not None:
            return self.client(shown.client_id, shown.secret, address)
        if shown.certificate is not None and shown.client_id:
            return self._by_certificate(shown.client_id, shown.certificate, address)
        raise NotAuthenticated("no client credentials")

    def client(self, name: str, secret: str, address: str) -> Client:
        """The client of this id and secret. NotAuthenticated, or TooManyAttempts (Busy)."""
        found = self.known_client(name)
        if found is not None and self.verified.has(found, secret) and comes_from(found, address):
            return found
        self.attempts.begin(f"client:{name}", address)
        right = secret_hash.fits(secret, found.secret_hash if found else None)
        if found is None or not right or not comes_from(found, address):
            reason = "network" if found and right else "secret"
            self.note("client:reject", found, address, reason=reason)
            raise NotAuthenticated("unknown client or wrong secret")
        self.verified.add(found, secret)
        return self._let_in(found, address, "secret")

    def _by_assertion(self, shown: Presented, assertion: str, address: str) -> Client:
        try:
            name = issuer_of(assertion)
        except AssertionRefused as error:
            raise NotAuthenticated(str(error)) from None
        if shown.client_id not in ("", name):
            raise NotAuthenticated("client_id is not the subject of the assertion")
        self.attempts.begin(f"client:{name}", address)
        found = self.known_client(name)
        try:
            known = self._verified(found, assertion, address)
        except AssertionRefused as error:
            self.note("client:reject", found, address, reason="assertion")
            raise NotAuthenticated(str(error)) from None
        return self._let_in(known, address, "jwks" if known.jwks else "jwks-url")

    def _verified(self, found: Client | None, assertion: str, address: str) -> Client:
        if found is None or self.assertions is None or not comes_from(found, address):
            raise AssertionRefused("unknown client")
        self.assertions.verify(found, assertion)
        return found

    def _by_certificate(self, name: str, certificate: PeerCertificate, address: str) -> Client:
        self.attempts.begin(f"client:{name}", address)
        found = self.known_client(name)
        if found is None or not client_certificate.fits(certificate, found) or not comes_from(found, address):
            self.note("client:reject", found, address, reason="certificate")
            raise NotAuthenticated("unknown client, or this certificate is not registered for it")
        return self._let_in(found, address, "certificate")

    def _let_in(self, client: Client, address: str, by: str) -> Client:
        self.attempts.forgive(f"client:{client.name}", address)
        self.note("client:authenticate", client, address, by=by)
        return client

    def basic(self, name: str, secret: str, address: str) -> Caller:
        """A client that shows its secret with every request: what it holds as a system, nothing for people."""
        found = self.client(name, secret, address)
        return Caller.of(replace(found, scopes=of_context(found.scopes, "system")), address, "")

    def bearer(self, token: str, address: str, certificate: PeerCertificate | None = None) -> Caller:
        """The client that holds the token, with the scopes of the token and the person it acts for."""
        found = self._serving(self.known.fresh, token, address, certificate)
        if found is not None:
            return found
        era = self.known.era
        with self.database.read() as unit:
            grant = unit.access.grant(digest(token), self.now()) if len(token) <= LONGEST_TOKEN else None
            grant = grant if grant is not None and grant.kind == "token" else None
            client = unit.access.client("fhir", grant.holder) if grant else None
            person = unit.access.person(grant.person) if grant and grant.person else None
        reason = self._objection(grant, client, person, address, certificate)
        if grant is not None and client is not None and not reason:
            caller = Caller.of(replace(client, scopes=grant.scopes), "", "", person)
            confined = grant.asked.get("record", "") if of_context(grant.scopes, "patient") else None
            caller = replace(caller, grant_hash=grant.token_hash, chain=grant.chain, confined_to=confined)
            holder = Holder(grant, caller, person)
            self.known.keep(holder, era)
            return replace(holder.client, address=address)
        with suppress(TooManyAttempts):  # a flood of stale tokens is refused, but not written down one by one
            self.stale_tokens.begin("bearer", address)
            self.note("client:reject", client, address, reason=reason)
        raise NotAuthenticated("the access token is unknown, has expired, or is bound to another certificate")

    def remembered(
        self, token: str, address: str, certificate: PeerCertificate | None = None, request: str = ""
    ) -> Caller | None:
        """The same without asking the database, for the request of this number; None where it must be asked."""
        return self._serving(self.known.find, token, address, certificate, request)

    def _serving(
        self,
        find: Callable[[bytes], Holder | None],
        token: str,
        address: str,
        certificate: PeerCertificate | None,
        request: str = "",
    ) -> Caller | None:
        held = find(digest(token)) if len(token) <= LONGEST_TOKEN else None
        if held is None or held.grant.expires_at <= self.now():
            return None
        objection = self._objection(held.grant, held.client, held.person, address, certificate)
        return None if objection else replace(held.client, address=address, request=request)

    def _objection(
        self,
        grant: Grant | None,
        client: Client | None,
        person: Person | None,
        address: str,
        certificate: PeerCertificate | None,
    ) -> str:
        """Why a token does not serve here, in a word; empty where it does."""
        if grant is None or client is None or not client.active:
            return "token"
        if grant.person is not None and (person is None or not person.active):
            return "person"
        if grant.certificate is not None and (certificate is None or certificate.thumbprint != grant.certificate):
            return "certificate"
        return "" if comes_from(client, address) else "network"

    def sign_in(self, name: str, password: str, address: str) -> tuple[str, Person]:
        """A new session and its person. NotAuthenticated, or TooManyAttempts (Busy)."""
        found = self.person(name, password, address)
        return self.open_session(found), found

    def open_session(self, person: Person) -> str:
        """The token of a new session."""
        token = secrets.token_urlsafe(32)
        self.grant(Grant(digest(token), person.name, "session", (), self.now() + self.session_life))
        return token

    def person(self, name: str, password: str, address: str) -> Person:
        """The person of this name and password, without a session. NotAuthenticated, or TooManyAttempts (Busy)."""
        self.attempts.begin(f"person:{name}", address)
        found = self._known_person(name)
        stored = found.password_hash or None if found else None
        if not secret_hash.fits(password, stored) or found is None:
            self.note("person:reject", found, address, reason="password")
            raise NotAuthenticated("unknown name or wrong password")
        self.attempts.forgive(f"person:{name}", address)
        self.note("person:login", found, address, by="password")
        return found

    def session(self, token: str) -> Person | None:
        """Who signed in with this session, while it lasts and the person is active."""
        if not 0 < len(token) <= LONGEST_TOKEN:
            return None
        with self.database.read() as unit:
            grant = unit.access.grant(digest(token), self.now())
            person = unit.access.person(grant.holder) if grant and grant.kind == "session" else None
        return person if person is not None and person.active else None

    def sign_out(self, token: str, person: Person) -> None:
        with self.database.begin(f"person:{person.name}") as unit:
            unit.access.drop_grant(digest(token))
            unit.audit.record("person:logout", person.id, f"person:{person.name}")
            unit.commit()

    def known_client(self, name: str) -> Client | None:
        if not 0 < len(name) <= _LONGEST_NAME:
            return None
        with self.database.read() as unit:
            found = unit.access.client("fhir", name)
        return found if found is not None and found.active else None

    def _known_person(self, name: str) -> Person | None:
        if not 0 < len(name) <= _LONGEST_NAME:
            return None
        with self.database.read() as unit:
            found = unit.access.person(name)
        return found if found is not None and found.active else None

    def grant(self, *grants: Grant) -> None:
        with self.database.begin("access") as unit:
            for grant in grants:
                unit.access.add_grant(grant)
            unit.commit()

    def note(self, event: str, who: Client | Person | None, address: str, **told: str) -> None:
        """An audit row about somebody who came to the door; a name that nobody has is not written down."""
        kind = "person" if isinstance(who, Person) else "client"
        actor = f"{kind}:{who.name}" if who else UNKNOWN
        with self.database.begin(actor) as unit:
            unit.audit.record(event, who.id if who else UNKNOWN, actor, address=address[:64], **told)
            unit.commit()


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def comes_from(client: Client, address: str) -> bool:
    """Whether the address lies in the client's networks; a client without networks may come from anywhere."""
    if not client.networks:
        return True
    try:
        host = ipaddress.ip_address(address)
        return any(host in ipaddress.ip_network(network, strict=False) for network in client.networks)
    except ValueError:
        return False
