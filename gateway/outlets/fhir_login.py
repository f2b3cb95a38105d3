"""How the gateway signs in at an EHR: OAuth 2.0 client credentials, by private_key_jwt or client secret.

SMART Backend Services (HL7 SMART App Launch 2.2, RFC 6749 4.4, RFC 7523): a short-lived assertion signed ES384 or
RS384 for every token, one token for many requests, a new one when it runs out or the EHR does not take it any more.
"""

from __future__ import annotations

import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.config import DestinationSettings
from gateway.domain.errors import Invalid, Unavailable

ASSERTION_SECONDS: Final = 240
EARLY_SECONDS: Final = 30
"""A token is renewed this long before it runs out."""
_ANSWER_LIMIT: Final = 64 << 10
_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ERRORS: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"}
    | {"invalid_scope", "temporarily_unavailable", "server_error"}
)


class ClientCredentials:
    """Used by one thread, like the connection that it serves."""

    def __init__(self, told: DestinationSettings, clock: Callable[[], float] = time.time) -> None:
        """Invalid where the private key cannot be read or is of a kind that SMART does not know."""
        self._told = told
        self._clock = clock
        self._key = _private_key(told.private_key) if told.private_key else None
        self._token = ""
        self._until = 0.0

    def header(self, client: httpx.Client) -> str:
        """The Authorization of the next request; Unavailable where a token is needed and none is given."""
        if self._clock() >= self._until:
            self._ask(client)
        return f"Bearer {self._token}"

    def forget(self) -> None:
        """The EHR took the token back before its time."""
        self._until = 0.0

    def _ask(self, client: httpx.Client) -> None:
        told = self._told
        fields = {"grant_type": "client_credentials"}
        if told.scope:
            fields["scope"] = told.scope
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if self._key is None:
            secret = f"{quote(told.client_id, safe='')}:{quote(told.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode('ascii')}"
        else:
            fields |= {"client_assertion_type": _JWT_BEARER, "client_assertion": self._assertion(self._key)}
        try:
            with client.stream("POST", told.token_url, headers=headers, content=urlencode(fields)) as response:
                self._take(response.status_code, _decoded(response))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the EHR's token endpoint cannot be reached ({type(error).__name__})") from None

    def _assertion(self, key: ECKey | RSAKey) -> str:
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": self._told.client_id,
            "sub": self._told.client_id,
            "aud": self._told.token_url,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(24),
        }
        algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
        header = {"alg": algorithm, "typ": "JWT", **({"kid": self._told.key_id} if self._told.key_id else {})}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    def _take(self, status: int, answer: dict[str, Any]) -> None:
        """Unavailable for anything but a token: credentials are renewed, and the report is not at fault."""
        if status != 200:
            code = answer.get("error")
            said = f" ({code})" if code in _ERRORS else ""
            raise Unavailable(f"the EHR's token endpoint answered {status}{said}")
        token, seconds = answer.get("access_token"), answer.get("expires_in", 300)
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not 0 < len(token) < 16_384:
            raise Unavailable("the EHR's token endpoint gave no token")
        life = float(seconds) if isinstance(seconds, int | float) else 300.0
        self._token, self._until = token, self._clock() + max(life - EARLY_SECONDS, life / 2)


def _private_key(path: str) -> ECKey | RSAKey:
    try:
        pem = Path(path).expanduser().read_bytes()
        key = load_pem_private_key(pem, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(f"the private key of a destination cannot be read ({type(error).__name__})") from None
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP384R1):
        return ECKey.import_key(pem)
    if isinstance(key, RSAPrivateKey) and key.key_size >= 2048:
        return RSAKey.import_key(pem)
    raise Invalid("the private key of a destination is neither EC P-384 nor RSA of 2048 bits or more")


def _decoded(response: httpx.Response) -> dict[str, Any]:
    found = bytearray()
    for part in response.iter_raw():
        found += part
        if len(found) > _ANSWER_LIMIT:
            raise Unavailable("the EHR's token endpoint said too much")
    try:
        answer = msgspec.json.decode(bytes(found))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}
