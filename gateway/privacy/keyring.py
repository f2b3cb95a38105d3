"""Key rings: the named keys of a gateway in two files, so that a worker can hold one and not the other.

`objects.json` opens pixels, chains the audit trail and is all that a worker gets; `identity.json` opens who they
belong to. Files are 0600 in a folder of 0700, made once even when several processes start together, optionally
under a passphrase (scrypt, RFC 7914, and AES-256-GCM).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.domain.errors import Conflict, Forbidden, Invalid, Missing
from gateway.privacy import deposit
from gateway.privacy.sealing import WrappingKey


class Purpose(StrEnum):
    """What a key is for; a key serves one purpose only."""

    OBJECTS = "objects"
    IDENTITY = "identity"
    INDEX = "index"
    PSEUDONYM = "pseudonym"
    AUDIT = "audit"
    TOKENS = "tokens"
    DEPOSIT_PUBLIC = "deposit-public"
    DEPOSIT_PRIVATE = "deposit-private"


OBJECTS_FILE: Final = "objects.json"
IDENTITY_FILE: Final = "identity.json"
FILES: Final[Mapping[str, frozenset[Purpose]]] = MappingProxyType(
    {
        OBJECTS_FILE: frozenset({Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}),
        IDENTITY_FILE: frozenset(set(Purpose) - {Purpose.OBJECTS, Purpose.AUDIT, Purpose.DEPOSIT_PUBLIC}),
    }
)
PAIR: Final = frozenset({Purpose.DEPOSIT_PUBLIC, Purpose.DEPOSIT_PRIVATE})
"""An X25519 pair, raw: who holds the public half can seal for the vault and open nothing (deposit.py)."""
UNROTATABLE: Final = frozenset({Purpose.INDEX, Purpose.PSEUDONYM})
"""A new key here would break every look-up or every pseudonym; they change by migration, not by rotation."""

_FORMAT: Final = 1
_SCRYPT: Final = {"n": 1 << 15, "r": 8, "p": 1}
_LARGEST: Final = 1 << 20
_AAD: Final = b"dxgate/keyring/v1"


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Keys by id, and which one is current for each purpose. Has no text form."""

    keys: Mapping[str, bytes] = field(repr=False)
    current: Mapping[Purpose, str]

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(sorted(self.keys))})"

    def key(self, purpose: Purpose) -> WrappingKey:
        """The current key of a purpose; raises Missing where this ring does not hold it."""
        if purpose not in self.current:
            raise Missing(f"this key ring holds no key for {purpose.value}")
        return self.by_id(self.current[purpose])

    def by_id(self, kid: str) -> WrappingKey:
        """A key by its id, current or earlier."""
        if kid not in self.keys:
            raise Missing(f"this key ring holds no key {kid!r}")
        return WrappingKey(kid, self.keys[kid])

    def unwrap(self, kid: str, wrapped: bytes) -> bytes:
        """Open what any key of this ring wrapped."""
        return self.by_id(kid).unwrap(kid, wrapped)

    def with_new_key(self, purpose: Purpose) -> KeyRing:
        """A ring whose current key for the purpose is new; earlier ones still open what they sealed."""
        if purpose in UNROTATABLE and purpose in self.current:
            raise Conflict(f"the {purpose.value} key cannot be rotated: stored values are derived from it")
        if purpose in PAIR:
            raise Conflict(f"the {purpose.value} key is one half of a pair: `with_private_key` and `with_public_key`")
        kid = f"{purpose.value}-{secrets.token_hex(6)}"
        keys = {**self.keys, kid: secrets.token_bytes(32)}
        return replace(self, keys=keys, current={**self.current, purpose: kid})

    def with_private_key(self) -> KeyRing:
        """A ring whose current private half of the deposit pair is new; earlier ones still open what they sealed."""
        return self._with_half(Purpose.DEPOSIT_PRIVATE, *deposit.new_pair())

    def with_public_key(self, private: bytes) -> KeyRing:
        """A ring that seals deposits for the holder of `private`."""
        public = deposit.public_half(private)
        return self._with_half(Purpose.DEPOSIT_PUBLIC, public, public)

    def _with_half(self, purpose: Purpose, public: bytes, half: bytes) -> KeyRing:
        """Both halves carry the fingerprint of the public one in their ids, as every deposit does."""
        kid = f"{purpose.value}-{deposit.fingerprint(public)}"
        return replace(self, keys={**self.keys, kid: half}, current={**self.current, purpose: kid})

    def joined(self, other: KeyRing) -> KeyRing:
        """Both rings as one, for the processes that may hold both."""
        return KeyRing({**self.keys, **other.keys}, {**self.current, **other.current})


def create(folder: Path, passphrase: str | None = None) -> None:
    """Make the folder and both files where they are missing; of racing processes one wins and all agree."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_private(folder, "folder", 0o700)
    for name, purposes in FILES.items():
        if not (folder / name).exists():
            ring = KeyRing({}, {})
            for purpose in sorted(purposes - PAIR):
                ring = ring.with_new_key(purpose)
            _write(folder / name, ring, passphrase, replace_existing=False)
    _complete_pair(folder, passphrase)


def _complete_pair(folder: Path, passphrase: str | None) -> None:
    """The deposit pair where it is missing: the private half first, from which the public one follows."""
    with _locked(folder):
        identity = load(folder, IDENTITY_FILE, passphrase)
        if Purpose.DEPOSIT_PRIVATE not in identity.current:
            identity = identity.with_private_key()
            _write(folder / IDENTITY_FILE, identity, passphrase, replace_existing=True)
        objects = load(folder, OBJECTS_FILE, passphrase)
        if Purpose.DEPOSIT_PUBLIC not in objects.current:
            objects = objects.with_public_key(identity.key(Purpose.DEPOSIT_PRIVATE).key)
            _write(folder / OBJECTS_FILE, objects, passphrase, replace_existing=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time changes the rings of a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # held until the handle is closed
        yield
    finally:
        os.close(handle)


def load(folder: Path, name: str, passphrase: str | None = None) -> KeyRing:
    """One ring; raises Missing, Forbidden (permissions, passphrase) or Invalid (content)."""
    path = folder / name
    if not path.exists():
        raise Missing(f"no key ring {name} in the key folder; `dxgate key init` makes one")
    _check_private(folder, "folder", 0o700)
    _check_private(path, "file", 0o600)
    if path.stat().st_size > _LARGEST:
        raise Invalid(f"key ring {name} is larger than {_LARGEST} bytes")
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            raise Invalid(f"key ring {name} has a format that this version does not know")
        content = _opened(document, name, passphrase)
        keys = {kid: base64.b64decode(key, validate=True) for kid, key in content["keys"].items()}
        ring = KeyRing(keys, {Purpose(purpose): kid for purpose, kid in content["current"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise Invalid(f"key ring {name} is damaged") from cause
    if any(len(key) != 32 for key in keys.values()) or not set(ring.current.values()) <= set(keys):
        raise Invalid(f"key ring {name} is damaged")
    if not set(ring.current) <= FILES.get(name, frozenset(Purpose)):
        raise Invalid(f"key ring {name} holds keys that belong to the other file")
    return ring


def add_key(folder: Path, purpose: Purpose, passphrase: str | None = None) -> KeyRing:
    """Rotate: a new current key for the purpose, written durably before it is used. One rotation at a time."""
    name = next(name for name, purposes in FILES.items() if purpose in purposes)
    with _locked(folder):
        ring = load(folder, name, passphrase).with_new_key(purpose)
        _write(folder / name, ring, passphrase, replace_existing=True)
    return ring


def _opened(document: dict[str, Any], name: str, passphrase: str | None) -> dict[str, Any]:
    """The ring's content, through the passphrase where it has one."""
    if "sealed" not in document:
        if passphrase is not None:
            raise Forbidden(f"key ring {name} has no passphrase, but one was given")
        content = document["ring"]
    elif passphrase is None:
        raise Forbidden(f"key ring {name} needs its passphrase")
    else:
        salt, nonce, sealed = (base64.b64decode(document[part]) for part in ("salt", "nonce", "sealed"))
        try:
            content = json.loads(AESGCM(_stretched(passphrase, salt)).decrypt(nonce, sealed, _AAD))
        except InvalidTag as cause:
            raise Forbidden(f"wrong passphrase for key ring {name}, or the file was altered") from cause
    if not isinstance(content, dict):
        raise Invalid(f"key ring {name} is damaged")
    return content


def _stretched(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, **_SCRYPT).derive(passphrase.encode())


def _document(ring: KeyRing, passphrase: str | None) -> bytes:
    keys = {kid: base64.b64encode(key).decode() for kid, key in ring.keys.items()}
    content = {"keys": keys, "current": dict(ring.current)}
    if passphrase is None:
        return json.dumps({"format": _FORMAT, "ring": content}, indent=1).encode()
    salt, nonce = os.urandom(16), os.urandom(12)
    sealed = AESGCM(_stretched(passphrase, salt)).encrypt(nonce, json.dumps(content).encode(), _AAD)
    parts = {"salt": salt, "nonce": nonce, "sealed": sealed}
    encoded = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    return json.dumps({"format": _FORMAT, **encoded}, indent=1).encode()


def _write(path: Path, ring: KeyRing, passphrase: str | None, *, replace_existing: bool) -> None:
    """Temporary file, fsync, link or rename, fsync of the folder: whole or not there, and never two."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_document(ring, passphrase))
            file.flush()
            os.fsync(file.fileno())
        if replace_existing:
            temporary.replace(path)
        else:
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return  # another process was first; its ring is the ring
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_private(path: Path, kind: str, most: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~most:
        raise Forbidden(f"the key {kind} {path.name} has mode {mode:04o}; it must be {most:04o} or stricter")
