"""The RSA key of ID tokens: made once, sealed, kept in a row, the same for every process (RFC 7518 3.3).

An RSA key cannot be derived from a secret as the ES256 key is. It is sealed under a key of the ring, whose id is the
row's: with a new key of the ring comes a new RSA key, as with ES256. Rows of former keys go a day later.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from joserfc.jwk import RSAKey

from gateway.domain.errors import Fault
from gateway.ports import Database

BITS: Final = 3072
FORMER_KEPT: Final = timedelta(days=1)
_NONCE: Final = 12


@dataclass
class IdTokenKey:
    """`seed` has 32 random bytes, from the ring. Blocks when it is asked for the first time; run it in a thread."""

    database: Database
    seed: bytes = field(repr=False)
    _key: RSAKey | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self) -> RSAKey:
        """Fault where the row does not open, which nobody but somebody who has changed it could cause."""
        with self._lock:
            if self._key is None:
                self._key = RSAKey.import_key(self._stored() or self._made())
            return self._key

    @property
    def id(self) -> str:
        return self._derived("id").hex()[:32]

    def _stored(self) -> rsa.RSAPrivateKey | None:
        with self.database.read() as unit:
            sealed = unit.access.id_token_key(self.id)
        return None if sealed is None else self._opened(sealed)

    def _made(self) -> rsa.RSAPrivateKey:
        """A new one; another process's, where that was first."""
        private = rsa.generate_private_key(65537, BITS)
        der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(self._derived("seal")).encrypt(nonce, der, self.id.encode())
        with self.database.begin("web") as unit:
            kept = unit.access.keep_id_token_key(self.id, sealed, FORMER_KEPT)
            unit.commit()
        return self._opened(kept)

    def _opened(self, sealed: bytes) -> rsa.RSAPrivateKey:
        try:
            der = AESGCM(self._derived("seal")).decrypt(sealed[:_NONCE], sealed[_NONCE:], self.id.encode())
        except InvalidTag:
            raise Fault("the key of ID tokens does not open") from None
        private = load_der_private_key(der, None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise Fault("the key of ID tokens is no RSA key")
        return private

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self.seed, f"dxgate/id-token-rsa/{purpose}".encode(), hashlib.sha256)
