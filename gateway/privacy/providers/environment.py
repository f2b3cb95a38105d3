"""The KEK from a setting, usually a variable that a container's secret store fills: 256 random bits as 64 digits.

Several may be given: the first wraps, the others only open what they wrapped before. For tests, containers and
sites whose secret store can do no more; what can read the process's environment can read the KEK.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import Conflict, Invalid, Missing
from gateway.privacy.key_provider import WrappedKey

_SECRET: Final = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)


@dataclass(frozen=True, repr=False)
class EnvironmentProvider:
    """Implements KeyProvider. `setting` is the name to tell a person; `secrets` are 64 hexadecimal digits each."""

    setting: str
    secrets: str = field(repr=False)
    name: str = "environment"

    def wrap(self, key: bytes, context: bytes) -> WrappedKey:
        kek, secret = next(iter(self._keys().items()))
        nonce = os.urandom(12)
        return WrappedKey(kek, nonce + AESGCM(secret).encrypt(nonce, key, context))

    def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        secret = self._keys().get(wrapped.kek)
        if secret is None:
            raise Missing(f"the key ring is wrapped under {wrapped.kek}, which {self.setting} does not hold; add it")
        try:
            return AESGCM(secret).decrypt(wrapped.wrapped[:12], wrapped.wrapped[12:], context)
        except (InvalidTag, ValueError):
            raise Invalid("the key ring was altered: restore it from its backup") from None

    def renew(self) -> None:
        """Conflict unless there is a second secret, from which the ring can move to the first."""
        if len(self._keys()) < 2:
            raise Conflict(f"put a new secret in front of the old one in {self.setting}, then run this again")

    def _keys(self) -> dict[str, bytes]:
        """By id, the current one first. The id tells secrets apart and nothing about them."""
        texts = self.secrets.replace(",", " ").split()
        if not texts or not all(map(_SECRET.fullmatch, texts)):
            raise Invalid(f"{self.setting} must hold 64 hexadecimal digits, made by `openssl rand -hex 32`")
        return {_id_of(secret): secret for secret in map(bytes.fromhex, texts)}


def _id_of(secret: bytes) -> str:
    return "environment-" + hashlib.sha256(b"dxgate/kek-id/v1|" + secret).hexdigest()[:8]
