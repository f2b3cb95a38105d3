"""ID tokens: who has signed in through an app, signed for the app (OpenID Connect Core 2; SMART App Launch 2.2, 3.2.3).

ES256 by a key that every process derives from the same secret, so no table holds it and it changes with the key ring.
The public half is published as a JSON Web Key Set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.domain.access import Client, Person

ALGORITHM: Final = "ES256"
LIFE: Final = timedelta(minutes=10)
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (FIPS 186-5)."""


@dataclass(frozen=True)
class IdTokens:
    """`seed` has 32 random bytes; `issuer` is our address, `base` that of the FHIR endpoint."""

    issuer: str
    base: str
    seed: bytes = field(repr=False)
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
        return jwt.encode({"alg": ALGORITHM, "kid": self._kid}, claims, self._key, algorithms=[ALGORITHM])

    def public_keys(self) -> dict[str, Any]:
        """The key set as it is published (RFC 7517 5)."""
        return {"keys": [self._key.as_dict(private=False, kid=self._kid, use="sig", alg=ALGORITHM)]}

    @cached_property
    def _key(self) -> ECKey:
        number = int.from_bytes(self.seed, "big") % (_ORDER - 1) + 1
        private = ec.derive_private_key(number, ec.SECP256R1())
        return ECKey.import_key(private)

    @property
    def _kid(self) -> str:
        return self._key.thumbprint()
