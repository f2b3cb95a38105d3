"""ID tokens: who has signed in through an app, signed for the app (OpenID Connect Core 2; SMART App Launch 2.2, 3.2.3).

RS256, which every client of OpenID Connect understands (Core 15.1), or ES256, by what the client is registered with.
The ES256 key is derived by every process from the same secret; the RSA key lies sealed in a row (id_token_key.py).
Both change with the key ring. The public halves are published as a JSON Web Key Set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.domain.access import Client, Person

BY_DEFAULT: Final = "RS256"
OF_BEFORE: Final = "ES256"
"""For clients that were registered when there was nothing else."""
ALGORITHMS: Final = (BY_DEFAULT, OF_BEFORE)
LIFE: Final = timedelta(minutes=10)
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (FIPS 186-5)."""


@dataclass(frozen=True)
class IdTokens:
    """`seed` has 32 random bytes; `issuer` is our address, `base` that of the FHIR endpoint; `rsa` may block."""

    issuer: str
    base: str
    seed: bytes = field(repr=False)
    rsa: Callable[[], RSAKey] = field(repr=False)
    now: Callable[[], datetime]

    def of(self, client: Client, person: Person, nonce: str, *, says_who: bool) -> str:
        """For this app alone. `says_who`: with the resource that is the person, a physician's Practitioner."""
        at = self.now()
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": str(person.id),
            "aud": client.name,
            "iat": int(at.timestamp()),
            "exp": int((at + LIFE).timestamp()),
        }
        claims |= {"nonce": nonce} if nonce else {}
        if says_who and person.role == "physician":
            claims["fhirUser"] = f"{self.base}/Practitioner/{person.id}"
        algorithm = client.id_token_alg or OF_BEFORE
        key = self.rsa() if algorithm == BY_DEFAULT else self._key
        return jwt.encode({"alg": algorithm, "kid": key.thumbprint()}, claims, key, algorithms=[algorithm])

    def public_keys(self) -> dict[str, Any]:
        """The key set as it is published (RFC 7517 5)."""
        keys: list[tuple[str, RSAKey | ECKey]] = [(BY_DEFAULT, self.rsa()), (OF_BEFORE, self._key)]
        return {
            "keys": [
                key.as_dict(private=False, kid=key.thumbprint(), use="sig", alg=algorithm) for algorithm, key in keys
            ]
        }

    @cached_property
    def _key(self) -> ECKey:
        number = int.from_bytes(self.seed, "big") % (_ORDER - 1) + 1
        private = ec.derive_private_key(number, ec.SECP256R1())
        return ECKey.import_key(private)
