"""Sealing to the vault's public key: a worker can put in what it removed, and never take it out again.

The content is a sealed object of sealing.py under a key made for it alone; that key is encrypted by HPKE (RFC 9180,
base mode: X25519, HKDF-SHA256, AES-256-GCM), whose private half lies in the identity ring.
Format, a wire law: magic(4) version(1) fingerprint of the public key(6) HPKE of the key(80) | sealed object. The
part left of the bar is associated data of every segment, the part left of the HPKE and the caller's bind the key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from struct import Struct, error
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from gateway.domain.errors import Invalid
from gateway.privacy.sealing import WrappingKey, open_sealed, seal

_HEAD: Final = Struct("<4sB6s")
_MAGIC: Final = b"DXGD"
_VERSION: Final = 1
_ENCRYPTED_KEY: Final = 32 + 32 + 16  # encapsulated key, key, tag
_BODY: Final = _HEAD.size + _ENCRYPTED_KEY
HEAD: Final = _BODY
"""Bytes of a deposit that name its pair."""
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INNER: Final = "deposit"


def new_pair() -> tuple[bytes, bytes]:
    """A fresh pair: public and private half, 32 raw bytes each."""
    private = X25519PrivateKey.generate().private_bytes_raw()
    return public_half(private), private


def public_half(private: bytes) -> bytes:
    """The public half that belongs to a private one."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """Twelve hexadecimal digits by which deposits and key ids name a pair."""
    return hashlib.sha256(b"dxgate/deposit/v1|" + public).hexdigest()[:12]


def deposit_fingerprint(blob: bytes | memoryview) -> str:
    """For which pair a deposit was sealed."""
    return _read_head(blob).hex()


def seal_deposit(parts: Iterable[bytes | memoryview], public: bytes, aad: bytes) -> list[bytes]:
    """The parts, sealed so that the holder of the private half alone can open them; `aad` names their place."""
    key = os.urandom(32)
    head = _HEAD.pack(_MAGIC, _VERSION, bytes.fromhex(fingerprint(public)))
    encrypted = _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(public), info=_bound(head, aad))
    return [head + encrypted, *seal(parts, WrappingKey(_INNER, key), _bound(head + encrypted, aad))]


def open_deposit(blob: bytes | memoryview, private: bytes, aad: bytes) -> bytes:
    """The plain bytes; raises Invalid for another pair, another place, or whatever was altered."""
    view = memoryview(blob)
    if _read_head(view).hex() != fingerprint(public_half(private)):
        raise Invalid("a deposit sealed for another key pair")
    head, encrypted = bytes(view[: _HEAD.size]), bytes(view[_HEAD.size : _BODY])
    try:
        key = _SUITE.decrypt(encrypted, X25519PrivateKey.from_private_bytes(private), info=_bound(head, aad))
    except (InvalidTag, ValueError) as cause:
        raise Invalid("a deposit does not open: altered, or another place") from cause
    return open_sealed(view[_BODY:], WrappingKey(_INNER, key).unwrap, _bound(head + encrypted, aad))


def _read_head(blob: bytes | memoryview) -> bytes:
    try:
        magic, version, pair = _HEAD.unpack_from(blob)
    except error as cause:
        raise Invalid("not a deposit") from cause
    if (magic, version) != (_MAGIC, _VERSION) or len(blob) < _BODY:
        raise Invalid("not a deposit, or of a format this version does not know")
    return bytes(pair)


def _bound(head: bytes, aad: bytes) -> bytes:
    return b"dxgate/deposit/v1|" + head + b"|" + aad
