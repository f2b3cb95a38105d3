"""Links from page to page: the search and the place in it, sealed, so that no URL holds a patient's identifier.

AES-256-GCM under a key of the gateway, bound to the client and the resource type: a link works for nobody else,
cannot be altered, and works on every web process (R4 3.1.1.4.5: links are opaque).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.errors import Invalid
from gateway.domain.ids import ReportId
from gateway.servers.web.body import Fields

PARAMETER = "_page"
_LONGEST = 8192
_LARGEST = 64 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Position:
    """After which report a page begins, and how many resources of the next one were shown already."""

    after: tuple[datetime, ReportId] | None = None
    shown: int = 0


class PageLinks:
    """Seals and opens page tokens. `key` has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, client: str, kind: str, fields: Fields, position: Position) -> str:
        after = position.after and [(position.after[0] - _EPOCH) // _MICROSECOND, position.after[1]]
        plain = zlib.compress(json.dumps([fields, after, position.shown]).encode())
        nonce = os.urandom(12)
        sealed = nonce + self._cipher.encrypt(nonce, plain, _bound_to(client, kind))
        return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def open(self, client: str, kind: str, token: str) -> tuple[Fields, Position]:
        """Invalid where the token was not made for this client and type."""
        try:
            raw = base64.urlsafe_b64decode(token[:_LONGEST] + "=" * (-len(token) % 4))
            plain = self._cipher.decrypt(raw[:12], raw[12:], _bound_to(client, kind))
            fields, after, shown = json.loads(zlib.decompressobj().decompress(plain, _LARGEST))
        except (binascii.Error, ValueError, InvalidTag):
            raise Invalid("this page link is not ours, or not this client's") from None
        position = Position((_EPOCH + after[0] * _MICROSECOND, ReportId(after[1])) if after else None, shown)
        return tuple((name, value) for name, value in fields), position


def _bound_to(client: str, kind: str) -> bytes:
    return json.dumps(["dxgate/page/v1", client, kind]).encode()
