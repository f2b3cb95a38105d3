"""A person signs in through the hospital's identity provider (OpenID Connect Core 1.0, 3.1, with PKCE).

The provider says who it is and in which groups; which role follows is our setting. An account is known by issuer and
subject, so that nobody gets into a local account by choosing its name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from joserfc import jws
from joserfc.errors import JoseError

from gateway.domain.access import NO_PASSWORD, Person, Role
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Unavailable
from gateway.domain.ids import PersonId, new_id
from gateway.flow.client_assertion import checked_keys, header_of
from gateway.flow.key_sets import KeySets
from gateway.ports import Database

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
CURVES = ("P-256", "P-384")
LEEWAY = timedelta(seconds=60)
_DESCRIPTION_SECONDS = 3600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MOST_VALUES = 1000


class SignInRefused(Forbidden):
    """Why nobody came in, for the person at the browser; it names no claim's value."""


class Ask(Protocol):
    """Asks the provider; bounded in size and time."""

    def __call__(
        self, method: str, url: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None
    ) -> bytes: ...


@dataclass(frozen=True)
class Provider:
    """An identity provider as the settings name it; `roles` are pairs of a claim's value and a role, first wins."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str
    name_claim: str
    role_claim: str
    roles: tuple[tuple[str, Role], ...]


@dataclass(frozen=True)
class Attempt:
    """What a sign-in that has begun must be ended with; kept sealed at the browser."""

    state: str
    nonce: str
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class Account:
    """Who the provider says it is."""

    subject: str
    name: str
    role: Role


@dataclass
class SignInElsewhere:
    """`redirect` is the address at which the provider sends the browser back."""

    database: Database
    provider: Provider
    ask: Ask
    redirect: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._keys = KeySets(lambda url: self.ask("GET", url))
        self._description: tuple[float, Mapping[str, Any]] | None = None

    def begin(self) -> tuple[str, Attempt]:
        """The address to send the browser to. Unavailable where the provider does not answer."""
        attempt = Attempt(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))
        challenge = hashlib.sha256(attempt.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.redirect,
            "scope": self.provider.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode("ascii").rstrip("="),
            "code_challenge_method": "S256",
        }
        address = self._described("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", attempt

    def finish(self, attempt: Attempt, answer: Mapping[str, str], address: str) -> Person:
        """The person whom the provider has named, added or brought up to date. SignInRefused is audited."""
        try:
            account = self._account(attempt, answer)
        except GatewayError as error:
            self._reject(address, "provider" if isinstance(error, Unavailable) else "id-token")
            raise
        return self._admitted(account, address)

    def _account(self, attempt: Attempt, answer: Mapping[str, str]) -> Account:
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise SignInRefused("this sign-in was not begun in this browser")
        if answer.get("iss", self.provider.issuer) != self.provider.issuer:  # RFC 9207
            raise SignInRefused("another provider has answered")
        if not answer.get("code"):
            raise SignInRefused("the identity provider has not let you in")
        claims = self._claims(self._id_token(attempt, answer["code"]), attempt)
        subject, name = claims.get("sub"), _at(claims, self.provider.name_claim)
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise SignInRefused("the identity provider names no subject")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SignInRefused("the identity provider gives no name that can stand in the audit trail")
        return Account(subject, name, self._role(claims))

    def _id_token(self, attempt: Attempt, code: str) -> str:
        told = self.provider
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "client_id": told.client_id,
            "code_verifier": attempt.verifier,
        }
        auth = (told.client_id, told.client_secret) if told.client_secret else None
        found = _object(self.ask("POST", self._described("token_endpoint"), form, auth)).get("id_token")
        if not isinstance(found, str):
            raise SignInRefused("the identity provider has given no ID token")
        return found

    def _claims(self, token: str, attempt: Attempt) -> dict[str, Any]:
        """OpenID Connect Core 3.1.3.7; the algorithm is one of ours, never `none` and never an HMAC."""
        header = header_of(token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in ALGORITHMS or not isinstance(kid, str):
            raise SignInRefused("the ID token is not signed in a way that is accepted here")
        keys = checked_keys(self._keys.with_key(self._described("jwks_uri"), kid), CURVES)
        key = next((each for each in keys if each.kid == kid), None)
        if key is None:
            raise SignInRefused("the ID token is signed with an unknown key")
        try:
            claims = _object(jws.deserialize_compact(token, key, algorithms=[algorithm]).payload)
        except (JoseError, ValueError, TypeError):
            raise SignInRefused("the signature of the ID token is wrong") from None
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        ours = self.provider.client_id
        if claims.get("iss") != self.provider.issuer or ours not in named:
            raise SignInRefused("the ID token is not meant for us")
        if (len(named) > 1 or "azp" in claims) and claims.get("azp") != ours:
            raise SignInRefused("the ID token is not meant for us")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise SignInRefused("the ID token belongs to another sign-in")
        now = self.now().timestamp()
        expires, issued = claims.get("exp"), claims.get("iat")
        if not isinstance(expires, int | float) or expires <= now - LEEWAY.total_seconds():
            raise SignInRefused("the ID token has expired")
        if not isinstance(issued, int | float) or issued > now + LEEWAY.total_seconds():
            raise SignInRefused("the ID token comes from the future")
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role:
        held = _at(claims, self.provider.role_claim)
        values = set(map(str, held[:_MOST_VALUES])) if isinstance(held, list) else {str(held)}
        for value, role in self.provider.roles:
            if value in values:
                return role
        raise SignInRefused("none of your groups has a role here; ask an administrator")

    def _admitted(self, account: Account, address: str) -> Person:
        issuer = self.provider.issuer
        with self.database.begin(f"person:{account.name}") as unit:
            found = unit.access.person_of(issuer, account.subject)
            refusal = self._refusal(found, unit.access.person(account.name) is not None)
            if refusal is None and found is None:
                found = Person(
                    PersonId(new_id()),
                    account.name,
                    NO_PASSWORD,
                    account.role,
                    True,
                    self.now(),
                    issuer,
                    account.subject,
                )
                unit.access.add_person(found)
            elif refusal is None and found is not None and found.role != account.role:
                unit.access.set_role(found, account.role)
            if refusal is None and found is not None:
                unit.audit.record("person:login", found.id, f"person:{found.name}", address=address[:64], by="oidc")
            unit.commit()
        if refusal is not None or found is None:
            self._reject(address, refusal or "unknown")
            raise SignInRefused("this account may not sign in here; ask an administrator")
        with self.database.read() as unit:
            return cast(Person, unit.access.person(found.name))

    def _refusal(self, found: Person | None, name_taken: bool) -> str | None:
        if found is None:
            return "name" if name_taken else None
        return None if found.active else "inactive"

    def _reject(self, address: str, reason: str) -> None:
        with self.database.begin("web") as unit:
            unit.audit.record("person:reject", "unknown", "unknown", address=address[:64], reason=reason, by="oidc")
            unit.commit()

    def _described(self, name: str) -> str:
        """One address out of the provider's description (OpenID Connect Discovery 1.0)."""
        kept = self._description
        if kept is None or time.monotonic() - kept[0] > _DESCRIPTION_SECONDS:
            address = f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            told = _object(self.ask("GET", address))
            if told.get("issuer") != self.provider.issuer:
                raise Unavailable("the identity provider calls itself otherwise than oidc.issuer says")
            kept = self._description = (time.monotonic(), told)
        found = kept[1].get(name)
        if not isinstance(found, str) or not found.startswith("https://"):
            raise Unavailable(f"the identity provider names no https address as {name}")
        return found


def _at(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or along dots into objects."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("the identity provider has answered with no JSON object")
    return found
