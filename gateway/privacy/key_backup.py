"""All key rings in one file under a passphrase of its own, to be kept far from the gateway and from its backups.

scrypt (RFC 7914, N = 2^17) and AES-256-GCM. The provider has no part in it: what is kept for the day on which the
HSM is lost must open without it. Format 1 is a wire law: a backup is read years later.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import Forbidden, Invalid
from gateway.privacy.keyring import FILES, KeyRing, from_content, to_content
from gateway.privacy.providers.file import stretched
from gateway.privacy.ring_file import RingContent

SHORTEST_PASSPHRASE: Final = 16  # characters: the file may be tried at leisure
_FORMAT: Final = "dxgate-key-backup-1"
_COST: Final = 1 << 17
_BROKEN: Final = (ValueError, KeyError, TypeError, AttributeError, binascii.Error)


def seal_backup(rings: Mapping[str, KeyRing], passphrase: str, at: datetime) -> bytes:
    """Invalid where the passphrase is too short to be tried against."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise Invalid(f"the backup's passphrase needs {SHORTEST_PASSPHRASE} characters or more")
    header = {"format": _FORMAT, "made_at": at.isoformat(timespec="seconds"), "files": sorted(rings)}
    salt, nonce = os.urandom(16), os.urandom(12)
    content = json.dumps({name: _words(to_content(ring)) for name, ring in rings.items()}).encode()
    closed = AESGCM(stretched(passphrase, salt, _COST)).encrypt(nonce, content, _bound(header))
    parts = {"salt": salt, "nonce": nonce, "sealed": closed}
    encoded = {name: base64.b64encode(value).decode() for name, value in parts.items()}
    return json.dumps({**header, **encoded}, indent=1).encode()


def open_backup(content: bytes, passphrase: str) -> dict[str, KeyRing]:
    """The rings by file name. Forbidden for a wrong passphrase, Invalid for a file that is no backup."""
    try:
        document = json.loads(content)
        header = {part: document[part] for part in ("format", "made_at", "files")}
        salt, nonce, closed = (base64.b64decode(document[part]) for part in ("salt", "nonce", "sealed"))
    except _BROKEN:
        raise Invalid("this file is no key backup") from None
    if header["format"] != _FORMAT:
        raise Invalid("this file is no key backup that this version knows")
    try:
        opened = AESGCM(stretched(passphrase, salt, _COST)).decrypt(nonce, closed, _bound(header))
    except (InvalidTag, ValueError):
        raise Forbidden("wrong passphrase for this key backup, or the file was altered") from None
    try:
        rings = {name: from_content(name, _content(words)) for name, words in json.loads(opened).items()}
    except _BROKEN:
        raise Invalid("this key backup is damaged") from None
    if not rings or not set(rings) <= set(FILES):
        raise Invalid("this key backup is damaged")
    return rings


def _words(content: RingContent) -> dict[str, Any]:
    keys = {kid: base64.b64encode(key).decode() for kid, key in content.keys.items()}
    return {"keys": keys, "current": dict(content.current), "staged": dict(content.staged)}


def _content(words: Mapping[str, Any]) -> RingContent:
    keys = {kid: base64.b64decode(key, validate=True) for kid, key in words["keys"].items()}
    return RingContent(keys, dict(words["current"]), dict(words["staged"]))


def _bound(header: Mapping[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
