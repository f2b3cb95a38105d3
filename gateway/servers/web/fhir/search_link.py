"""Links from page to page of a search: what was asked and the place in it, sealed, so that no URL holds identity.

AES-256-GCM under a key of the gateway, bound to the client and the type: a link works for nobody else, cannot be
altered, works on every web process, and for an hour (R4 3.1.1.4.5: links are opaque).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.criterion import Place
from gateway.domain.errors import Invalid
from gateway.flow.record.search import Position
from gateway.servers.web.body import Fields
from gateway.servers.web.refusal import Refusal

PARAMETER = "_page"
LIFE = timedelta(hours=1)
_LONGEST = 8192
_LARGEST = 64 * 1024
_NONCE = 12


@dataclass(frozen=True)
class SearchLinks:
    """Seals and opens page tokens of one client and type. `key` has 32 bytes."""

    key: bytes = field(repr=False)
    client: str
    kind: str
    clock: Callable[[], datetime]

    def seal(self, fields: Fields, position: Position) -> str:
        expires = int((self.clock() + LIFE).timestamp())
        after = position.after and [list(position.after.values), position.after.key]
        plain = zlib.compress(json.dumps([expires, list(fields), position.until, after]).encode())
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(self.key).encrypt(nonce, plain, self._bound_to())
        return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")

    def open(self, token: str) -> tuple[Fields, Position]:
        """Invalid where the token was not made for this client and type, 410 where its hour is over."""
        try:
            raw = base64.urlsafe_b64decode(token[:_LONGEST] + "=" * (-len(token) % 4))
            plain = AESGCM(self.key).decrypt(raw[:_NONCE], raw[_NONCE:], self._bound_to())
            expires, fields, until, after = json.loads(zlib.decompressobj().decompress(plain, _LARGEST))
        except (binascii.Error, ValueError, InvalidTag):
            raise Invalid("this page link is not ours, or not this client's") from None
        if self.clock().timestamp() > expires:
            raise Refusal(410, "expired", "this page link is older than an hour; search again")
        place = Place(tuple(after[0]), after[1]) if after else None
        return tuple((name, value) for name, value in fields), Position(until, place)

    def _bound_to(self) -> bytes:
        return json.dumps(["dxgate/search-page/v1", self.client, self.kind]).encode()
