"""A client proves who it is by a token that it signed (RFC 7523 3; SMART App Launch 2.2, 4.1 "private_key_jwt").

RS384 or ES384 alone: the algorithm is ours to choose, never the token's (RFC 8725 3.1), so that neither `none` nor a
public key taken for an HMAC secret opens anything. A token serves once, in all processes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.domain.access import Client
from gateway.domain.errors import Forbidden, Invalid
from gateway.flow.key_sets import KeySets
from gateway.ports import Database

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
CURVES = ("P-384",)
LONGEST_LIFE = timedelta(minutes=5)
LEEWAY = timedelta(seconds=30)  # two clocks of one hospital
LONGEST = 8192
LARGEST_SET = 64 * 1024
MOST_KEYS = 20
_LONGEST_NAME = 255
_RSA_BITS = (2048, 8192)


class AssertionRefused(Forbidden):
    """Why the token proves nothing; the text is for the log of the client's own people."""


@dataclass(frozen=True)
class ClientAssertions:
    """Verifies tokens against a client's registered keys. `audiences` are the names of our token endpoint."""

    database: Database
    key_sets: KeySets
    audiences: frozenset[str]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def verify(self, client: Client, assertion: str) -> None:
        """AssertionRefused, or Unavailable where the client's key set cannot be fetched."""
        header = header_of(assertion)
        kid, algorithm = _text(header, "kid"), header.get("alg")
        if algorithm not in ALGORITHMS:
            raise AssertionRefused(f"alg must be one of {', '.join(ALGORITHMS)}")
        key = self._key(client, kid)
        try:
            signed = jws.deserialize_compact(assertion, key, algorithms=[algorithm])
        except (JoseError, ValueError, TypeError):
            raise AssertionRefused("the signature does not fit the registered key of this kid") from None
        self._use(client, _object(signed.payload))

    def _key(self, client: Client, kid: str) -> Any:
        text = client.jwks
        if text is None and client.jwks_url is not None:
            text = self.key_sets.with_key(client.jwks_url, kid)
        if text is None:
            raise AssertionRefused("no keys are registered for the client")
        try:
            found = next((key for key in checked_keys(text) if key.kid == kid), None)
        except Invalid as error:  # at the client's own address, which changes without us
            raise AssertionRefused(str(error)) from None
        if found is None:
            raise AssertionRefused("no key with this kid is registered for the client")
        return found

    def _use(self, client: Client, claims: dict[str, Any]) -> None:
        now = self.now()
        if _text(claims, "iss") != client.name or _text(claims, "sub") != client.name:
            raise AssertionRefused("iss and sub must both be the client id")
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if len(named) != 1 or named[0] not in self.audiences:
            raise AssertionRefused("aud must be the address of the token endpoint, as it stands in smart-configuration")
        expires_at = _time(claims, "exp")
        if expires_at <= now - LEEWAY:
            raise AssertionRefused("the assertion has expired")
        if expires_at > now + LONGEST_LIFE + LEEWAY:
            raise AssertionRefused("exp must be at most five minutes ahead")
        for name in ("nbf", "iat"):
            if name in claims and _time(claims, name) > now + LEEWAY:
                raise AssertionRefused(f"{name} lies in the future")
        self._once(client, _text(claims, "jti"), expires_at)

    def _once(self, client: Client, jti: str, expires_at: datetime) -> None:
        digest = hashlib.sha256(f"{client.id}\x00{jti}".encode("utf-8", "surrogatepass")).digest()
        with self.database.begin("access") as unit:
            fresh = unit.access.use_assertion(digest, expires_at + LEEWAY)
            unit.commit()
        if not fresh:
            raise AssertionRefused("this jti was used before")


def header_of(token: str) -> dict[str, Any]:
    """The header, not yet believed."""
    if len(token) > LONGEST or token.count(".") != 2:
        raise AssertionRefused("this is no signed token")
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
    except (JoseError, ValueError, TypeError):
        raise AssertionRefused("this is no signed token") from None
    if "crit" in header:
        raise AssertionRefused("critical extensions are not understood")
    return dict(header)


def issuer_of(token: str) -> str:
    """The client id that a token names; nothing of it is believed before `verify`."""
    header_of(token)
    try:
        return _text(_object(jws.extract_compact(token.encode("ascii")).payload), "sub")
    except (JoseError, ValueError, TypeError):
        raise AssertionRefused("this is no signed token") from None


def checked_keys(jwks: str, curves: tuple[str, ...] = CURVES) -> KeySet:
    """The RSA and EC keys of a JSON Web Key Set; Invalid where it is none, too large, or holds a secret or weak key."""
    if len(jwks) > LARGEST_SET:
        raise Invalid(f"a key set has at most {LARGEST_SET} characters")
    try:
        told = json.loads(jwks)
        listed = told["keys"]
        if not isinstance(listed, list) or not 0 < len(listed) <= MOST_KEYS:
            raise Invalid(f"a key set holds 1 to {MOST_KEYS} keys")
        usable = [one for one in listed if _is_for_signatures(one, curves)]
        found = KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise Invalid("this is no JSON Web Key Set with an RSA or EC key for signatures that has a kid") from None
    for key in found:
        if key.is_private:
            raise Invalid("a key set at a server holds public keys alone; this one holds a private key")
        raw = key.raw_value
        if isinstance(raw, RSAPublicKey) and not _RSA_BITS[0] <= raw.key_size <= _RSA_BITS[1]:
            raise Invalid(f"an RSA key has {_RSA_BITS[0]} to {_RSA_BITS[1]} bits")
    return found


def _is_for_signatures(key: Any, curves: tuple[str, ...]) -> bool:
    if not isinstance(key, dict) or not isinstance(key.get("kid"), str) or key.get("use", "sig") != "sig":
        return False
    return key.get("kty") == "RSA" or (key.get("kty") == "EC" and key.get("crv") in curves)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AssertionRefused("the assertion holds no JSON object")
    return found


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise AssertionRefused(f"{name} must be a text of 1 to {_LONGEST_NAME} characters")
    return value


def _time(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise AssertionRefused(f"{name} must be a number of seconds since 1970")
    return datetime.fromtimestamp(min(value, 1 << 37), UTC)
