"""Signatures of the gateway: a compact JWS by its own Ed25519 key (RFC 7515, RFC 8037).

The signing key lies in the identity ring, which workers do not hold. What a signature proves is written in
deploy/decisions/0017-signing-for-a-physician.md: that this gateway vouched for this content in the name of a person
whom it had authenticated; not that the person held a key.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.domain.errors import Invalid, Missing, Unavailable
from gateway.privacy.keyring import Purpose
from gateway.privacy.live_ring import Keys

_LONGEST: Final = 64 * 1024
_OKP: Final = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}


@dataclass(frozen=True, repr=False)
class Signer:
    """Implements the ContentSigner port over the identity ring."""

    ring: Keys

    def sign(self, claims: Mapping[str, Any]) -> tuple[str, str]:
        """The JWS over `claims` and the id of the key. Unavailable where the ring has no signing key yet."""
        try:
            key = self.ring.key(Purpose.SIGNING)
        except Missing:
            raise Unavailable("there is no key to sign with; `dxgate keys init` makes it") from None
        header = {"alg": "EdDSA", "kid": key.kid, "typ": "JOSE"}
        signed = f"{_part(header)}.{_part(claims)}"
        signature = Ed25519PrivateKey.from_private_bytes(key.key).sign(signed.encode("ascii"))
        return f"{signed}.{_base64(signature)}", key.kid


def public_keys(keys: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """The public half of every signing key of a ring, as JSON Web Keys by key id (RFC 8037 2)."""
    found = {}
    for kid, key in sorted(keys.items()):
        if kid.startswith(f"{Purpose.SIGNING.value}-"):
            public = Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()
            found[kid] = {**_OKP, "kid": kid, "x": _base64(public)}
    return found


def verified(jws: str, jwks: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The claims of a JWS. Invalid where it was altered; Missing where its key is not known."""
    if len(jws) > _LONGEST:
        raise Invalid("a signature is too long")
    try:
        head, claims, signature = jws.split(".")
        header = json.loads(_bytes(head))
        key = jwks.get(str(header["kid"]))
        if key is None:
            raise Missing("the key of a signature is not known here")
        if header.get("alg") != "EdDSA":
            raise Invalid("a signature is of another kind than ours")
        public = Ed25519PublicKey.from_public_bytes(_bytes(key["x"]))
        public.verify(_bytes(signature), f"{head}.{claims}".encode("ascii"))
        found = json.loads(_bytes(claims))
    except (ValueError, KeyError, TypeError, AttributeError, NotBase64, InvalidSignature):
        raise Invalid("a signature does not verify") from None
    return dict(found)


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
