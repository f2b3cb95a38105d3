"""keygen: the pair of keys with which a site signs its packs (Ed25519, RFC 8032).

The private half is written once, readable by its owner alone; whoever holds it decides what is shown to physicians.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.domain.errors import Conflict, Forbidden, Invalid, Unavailable


def make(private: Path, public: Path, passphrase: str) -> None:
    """Write a new pair; nothing that exists is overwritten."""
    for path in (private, public):
        if path.exists():
            raise Conflict(f"{path} exists; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    hidden: KeySerializationEncryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden), 0o600)
    _write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)


def load(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The private key; `Forbidden` where others may read the file, `Invalid` where it is none or stays closed."""
    try:
        if path.stat().st_mode & 0o077:
            raise Forbidden(f"{path} may be read by others; chmod 600 it, and think about who has read it")
        found = load_pem_private_key(path.read_bytes(), passphrase.encode() if passphrase else None)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise Invalid(f"{path} is no private key, or the passphrase is wrong or missing") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise Invalid(f"{path} is not an Ed25519 key")
    return found


def _write(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            os.fsync(file.fileno())
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
