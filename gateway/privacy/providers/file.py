"""The KEK from a passphrase, or none at all: then the modes of file and folder are the whole protection.

scrypt (RFC 7914) with a salt of its own for every writing, and AES-256-GCM. A weak passphrase stays weak: whoever
copies the file may try passphrases at leisure, about ten in a second and core.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.domain.errors import Forbidden, Invalid
from gateway.privacy.key_provider import WrappedKey

UNPROTECTED: Final = "unprotected"
_KIND: Final = "passphrase-"
_SALT: Final = 16
_WRAPPED: Final = _SALT + 12 + 32 + 16


@dataclass(frozen=True, repr=False)
class FileProvider:
    """Implements KeyProvider. `passphrase` None: the data key stands in the file as it is."""

    passphrase: str | None = field(default=None, repr=False)
    name: str = "file"

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        if self.passphrase is None:
            return WrappedKey(UNPROTECTED, key)
        salt, nonce = os.urandom(_SALT), os.urandom(12)
        sealed = AESGCM(stretched(self.passphrase, salt)).encrypt(nonce, key, context)
        return WrappedKey(_KIND + salt[:4].hex(), salt + nonce + sealed)

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        if wrapped.kek == UNPROTECTED:
            if self.passphrase is not None:
                raise Forbidden("the key ring has no passphrase, but one was given; `dxgate keys rotate --kek` sets it")
            return wrapped.wrapped
        if not wrapped.kek.startswith(_KIND) or len(wrapped.wrapped) != _WRAPPED:
            raise Invalid("the wrapping of the key ring is damaged")
        if self.passphrase is None:
            raise Forbidden("the key ring needs its passphrase; set keys.passphrase")
        salt, nonce = wrapped.wrapped[:_SALT], wrapped.wrapped[_SALT : _SALT + 12]
        try:
            cipher = AESGCM(stretched(self.passphrase, salt))
            return cipher.decrypt(nonce, wrapped.wrapped[_SALT + 12 :], context)
        except InvalidTag:
            raise Forbidden(
                "wrong passphrase for the key ring, or the file was altered; check keys.passphrase"
            ) from None

    def renew(self) -> None:
        """Nothing to make: every writing stretches the passphrase with a new salt."""


def stretched(passphrase: str, salt: bytes, cost: int = 1 << 15) -> bytes:
    """32 bytes from a passphrase; `cost` is scrypt's N (wire law: files of earlier releases need 2^15)."""
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase.encode())
