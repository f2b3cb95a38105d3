"""How a key ring stands in its file. Format 2 (a wire law): a header in clear, and the keys sealed under it.

The header names file, provider, KEK, the wrapped data key, the ids of all keys and which are current. It is the
associated data of the sealed keys (AES-256-GCM), so that no former key can be made current again, no key moved and
no file put in the other's place. Format 1, of releases before the providers, is read and never written.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import Conflict, Forbidden, Invalid
from gateway.privacy import private_file
from gateway.privacy.key_provider import KeyProvider, WrappedKey
from gateway.privacy.providers.file import FileProvider, stretched

FORMAT: Final = 2
_FIRST_FORMAT_AAD: Final = b"dxgate/keyring/v1"
_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, binascii.Error)
_HEADER: Final = ("format", "file", "provider", "kek", "wrapped", "keys", "current", "staged")


@dataclass(frozen=True, repr=False)
class RingContent:
    """Keys by id and the ids in use by purpose. Has no text form."""

    keys: Mapping[str, bytes] = field(repr=False)
    current: Mapping[str, str]
    staged: Mapping[str, str]


@dataclass(frozen=True)
class RingHeader:
    """What a file says of itself without being opened: nobody has vouched for it yet."""

    format: int
    provider: str
    kek: str
    keys: frozenset[str]


def sealed(name: str, content: RingContent, provider: KeyProvider) -> bytes:
    """The file: a fresh data key for every writing, wrapped by the provider."""
    data_key, nonce = os.urandom(32), os.urandom(12)
    wrapped = provider.wrap(data_key, _context(name))
    header: dict[str, Any] = {
        "format": FORMAT,
        "file": name,
        "provider": provider.name,
        "kek": wrapped.kek,
        "wrapped": _text(wrapped.wrapped),
        "keys": sorted(content.keys),
        "current": dict(content.current),
        "staged": dict(content.staged),
    }
    keys = json.dumps({kid: _text(key) for kid, key in content.keys.items()}).encode()
    closed = AESGCM(data_key).encrypt(nonce, keys, _bound(header))
    return json.dumps({**header, "nonce": _text(nonce), "sealed": _text(closed)}, indent=1).encode()


def opened(name: str, content: bytes, provider: KeyProvider) -> RingContent:
    """What the file holds; Invalid where any part of it was altered."""
    document = _document(name, content)
    if document["format"] == 1:
        return _opened_first_format(name, document, provider)
    try:
        header = {part: document[part] for part in _HEADER}
        wrapped = WrappedKey(str(document["kek"]), _bytes(document["wrapped"]))
        nonce, closed = _bytes(document["nonce"]), _bytes(document["sealed"])
        told = (str(document["provider"]), str(document["file"]))
    except _BROKEN:
        raise Invalid(f"key ring {name} is damaged") from None
    if told[1] != name:
        raise Invalid(f"key ring {name} was made as another file, {told[1]!r}")
    if told[0] != provider.name:
        raise Conflict(
            f"key ring {name} is under the provider {told[0]!r}, but keys.provider is {provider.name!r}; "
            f"move it with `dxgate keys rotate --kek --from {told[0]}`"
        )
    data_key = provider.unwrap(wrapped, _context(name))
    try:
        keys = json.loads(AESGCM(data_key).decrypt(nonce, closed, _bound(header)))
        ring = RingContent({kid: _bytes(key) for kid, key in keys.items()}, header["current"], header["staged"])
    except (InvalidTag, *_BROKEN):
        raise Invalid(f"key ring {name} was altered: restore it from its backup") from None
    if sorted(ring.keys) != header["keys"]:
        raise Invalid(f"key ring {name} is damaged")
    return ring


def read_header(path: Path) -> RingHeader:
    """Without the provider; Invalid where the file is no key ring."""
    document = _document(path.name, private_file.read(path))
    try:
        if document["format"] == 1:
            keys = frozenset(document["ring"]["keys"]) if "ring" in document else frozenset()
            return RingHeader(1, "file", "", keys)
        return RingHeader(
            FORMAT, str(document["provider"]), str(document["kek"]), frozenset(map(str, document["keys"]))
        )
    except _BROKEN:
        raise Invalid(f"key ring {path.name} is damaged") from None


def _document(name: str, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
        known = document["format"] in (1, FORMAT)
    except _BROKEN:
        raise Invalid(f"key ring {name} is damaged") from None
    if not known:
        raise Invalid(f"key ring {name} has a format that this version does not know")
    return dict(document)


def _opened_first_format(name: str, document: Mapping[str, Any], provider: KeyProvider) -> RingContent:
    """Format 1 knew a passphrase or nothing."""
    if not isinstance(provider, FileProvider):
        raise Conflict(f"key ring {name} is of the first format; move it with `dxgate keys rotate --kek --from file`")
    try:
        ring = document["ring"] if "sealed" not in document else _past_passphrase(name, document, provider.passphrase)
        if "sealed" not in document and provider.passphrase is not None:
            raise Forbidden(f"key ring {name} has no passphrase, but one was given")
        keys = {kid: _bytes(key) for kid, key in ring["keys"].items()}
        return RingContent(keys, dict(ring["current"]), {})
    except _BROKEN:
        raise Invalid(f"key ring {name} is damaged") from None


def _past_passphrase(name: str, document: Mapping[str, Any], passphrase: str | None) -> Any:
    if passphrase is None:
        raise Forbidden(f"key ring {name} needs its passphrase; set keys.passphrase")
    salt, nonce, closed = (_bytes(document[part]) for part in ("salt", "nonce", "sealed"))
    try:
        return json.loads(AESGCM(stretched(passphrase, salt)).decrypt(nonce, closed, _FIRST_FORMAT_AAD))
    except InvalidTag:
        raise Forbidden(f"wrong passphrase for key ring {name}, or the file was altered") from None


def _context(name: str) -> bytes:
    return f"dxgate/keyring/v2|{name}".encode()


def _bound(header: Mapping[str, Any]) -> bytes:
    """One spelling of the header, whatever blanks the file has."""
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
