"""Who is asking: FHIR clients by secret or bearer token (RFC 6749 4.4, RFC 6750), people by password and session.

Every success and failure is audited; a token or session is stored as its hash alone, so that a copy of the
database opens no door. A name that is not known is never written down: it may be a password typed too early.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.domain.access import Client, Grant, Person
from gateway.domain.errors import Forbidden
from gateway.flow import secret_hash
from gateway.flow.attempts import Attempts, TooManyAttempts
from gateway.flow.scopes import narrowed
from gateway.ports import Database

UNKNOWN = "unknown"
_LONGEST_NAME = 128
_LONGEST_TOKEN = 256


class NotAuthenticated(Forbidden):
    """Nobody we know: the wire answers with its own challenge (HTTP 401)."""


@dataclass(frozen=True)
class IssuedToken:
    """A bearer token, shown once."""

    token: str = field(repr=False)
    scopes: tuple[str, ...]
    seconds: int


class VerifiedSecrets:
    """Secrets that were right a moment ago, so that HTTP Basic does not pay for scrypt with every request.

    Keeps keyed digests of client, secret and stored hash; a changed hash or a disabled client is not found again.
    """

    def __init__(
        self, seconds: float = 60.0, capacity: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._capacity, self._clock = seconds, capacity, clock
        self._key = secrets.token_bytes(32)
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, client: Client, secret: str) -> None:
        with self._lock:
            self._until[self._digest(client, secret)] = self._clock() + self._seconds
            while len(self._until) > self._capacity:
                self._until.popitem(last=False)

    def has(self, client: Client, secret: str) -> bool:
        with self._lock:
            return self._until.get(self._digest(client, secret), 0.0) > self._clock()

    def _digest(self, client: Client, secret: str) -> bytes:
        words = "\x00".join((client.id, str(client.secret_hash), secret))
        return hmac.digest(self._key, words.encode("utf-8", "surrogatepass"), "sha256")


@dataclass(frozen=True)
class GrantAccess:
    """Lets in clients and people. `address` is where the request came from."""

    database: Database
    token_life: timedelta
    session_life: timedelta
    attempts: Attempts = field(default_factory=Attempts)
    stale_tokens: Attempts = field(default_factory=Attempts)
    verified: VerifiedSecrets = field(default_factory=VerifiedSecrets)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def client(self, name: str, secret: str, address: str) -> Client:
        """The client of this id and secret. NotAuthenticated, or TooManyAttempts (Busy)."""
        found = self._known_client(name)
        if found is not None and self.verified.has(found, secret) and _comes_from(found, address):
            return found
        self.attempts.begin(f"client:{name}", address)
        right = secret_hash.fits(secret, found.secret_hash if found else None)
        if found is None or not right or not _comes_from(found, address):
            reason = "network" if found and right else "secret"
            self._audit("client:reject", found, address, reason)
            raise NotAuthenticated("unknown client or wrong secret")
        self.attempts.forgive(f"client:{name}", address)
        self.verified.add(found, secret)
        self._audit("client:authenticate", found, address)
        return found

    def issue_token(self, name: str, secret: str, requested: str | None, address: str) -> IssuedToken:
        """A bearer token for the client; Forbidden where nothing of the requested scope is granted to it."""
        client = self.client(name, secret, address)
        scopes = narrowed(client.scopes, requested)
        if not scopes:
            self._audit("client:reject", client, address, "scope")
            raise Forbidden("none of the requested scopes is granted to this client")
        token = secrets.token_urlsafe(32)
        self._grant(Grant(_digest(token), client.name, "token", scopes, self.now() + self.token_life))
        return IssuedToken(token, scopes, int(self.token_life.total_seconds()))

    def bearer(self, token: str, address: str) -> Client:
        """The client that holds the token, with the scopes of the token."""
        with self.database.read() as unit:
            grant = unit.access.grant(_digest(token), self.now()) if len(token) <= _LONGEST_TOKEN else None
            client = unit.access.client("fhir", grant.holder) if grant and grant.kind == "token" else None
        if grant is not None and client is not None and client.active and _comes_from(client, address):
            return replace(client, scopes=grant.scopes)
        with suppress(TooManyAttempts):  # a flood of stale tokens is refused, but not written down one by one
            self.stale_tokens.begin("bearer", address)
            self._audit("client:reject", client, address, "token")
        raise NotAuthenticated("the access token is unknown or has expired")

    def sign_in(self, name: str, password: str, address: str) -> tuple[str, Person]:
        """A new session and its person. NotAuthenticated, or TooManyAttempts (Busy)."""
        found = self.person(name, password, address)
        token = secrets.token_urlsafe(32)
        self._grant(Grant(_digest(token), found.name, "session", (), self.now() + self.session_life))
        return token, found

    def person(self, name: str, password: str, address: str) -> Person:
        """The person of this name and password, without a session. NotAuthenticated, or TooManyAttempts (Busy)."""
        self.attempts.begin(f"person:{name}", address)
        found = self._known_person(name)
        if not secret_hash.fits(password, found.password_hash if found else None) or found is None:
            self._audit("person:reject", found, address, "password")
            raise NotAuthenticated("unknown name or wrong password")
        self.attempts.forgive(f"person:{name}", address)
        self._audit("person:login", found, address)
        return found

    def session(self, token: str) -> Person | None:
        """Who signed in with this session, while it lasts and the person is active."""
        if not 0 < len(token) <= _LONGEST_TOKEN:
            return None
        with self.database.read() as unit:
            grant = unit.access.grant(_digest(token), self.now())
            person = unit.access.person(grant.holder) if grant and grant.kind == "session" else None
        return person if person is not None and person.active else None

    def sign_out(self, token: str, person: Person) -> None:
        with self.database.begin(f"person:{person.name}") as unit:
            unit.access.drop_grant(_digest(token))
            unit.audit.record("person:logout", person.id, f"person:{person.name}")
            unit.commit()

    def _known_client(self, name: str) -> Client | None:
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

    def _grant(self, grant: Grant) -> None:
        with self.database.begin("access") as unit:
            unit.access.add_grant(grant)
            unit.commit()

    def _audit(self, event: str, who: Client | Person | None, address: str, reason: str | None = None) -> None:
        kind = "person" if isinstance(who, Person) else "client"
        actor = f"{kind}:{who.name}" if who else UNKNOWN
        told = {"address": address[:64]} | ({"reason": reason} if reason else {})
        with self.database.begin(actor) as unit:
            unit.audit.record(event, who.id if who else UNKNOWN, actor, **told)
            unit.commit()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _comes_from(client: Client, address: str) -> bool:
    """Whether the address lies in the client's networks; a client without networks may come from anywhere."""
    if not client.networks:
        return True
    try:
        host = ipaddress.ip_address(address)
        return any(host in ipaddress.ip_network(network, strict=False) for network in client.networks)
    except ValueError:
        return False
