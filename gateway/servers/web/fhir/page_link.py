"""Links from page to page: what was asked and the place in it, sealed, so that no URL holds a patient's identifier.

AES-256-GCM under a key of the gateway, bound to the client and what is paged through: a link works for nobody else,
cannot be altered, works on every web process, and for an hour (R4 3.1.1.4.5: links are opaque).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.domain.access import Client
from gateway.domain.errors import Invalid
from gateway.servers.web import body
from gateway.servers.web.body import Fields
from gateway.servers.web.fhir.exchange import OF_THE_ANSWER
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

PARAMETER = "_page"
LIFE = timedelta(hours=1)
LONGEST = body.MAX_CRITERION
_LARGEST = 64 * 1024
_NONCE = 12


@dataclass(frozen=True)
class PageLinks:
    """Seals and opens the page tokens of one client. `key` has 32 bytes; `scope` is what is paged through."""

    key: bytes = field(repr=False)
    client: str
    scope: str
    clock: Callable[[], datetime]

    def seal(self, fields: Fields, place: Sequence[Any]) -> str:
        """`place` is what JSON can hold; it comes back as a list. Refusal (413) for what no address can hold."""
        expires = int((self.clock() + LIFE).timestamp())
        plain = zlib.compress(json.dumps([expires, list(fields), list(place)]).encode())
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(self.key).encrypt(nonce, plain, self._bound_to())
        token = base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
        if len(token) > LONGEST:
            raise Refusal(413, "too-long", "a search with so much in it has no second page: ask for it in parts")
        return token

    def open(self, token: str) -> tuple[Fields, list[Any]]:
        """Invalid where the token was not made for this client and scope, 410 where its hour is over."""
        try:
            raw = base64.urlsafe_b64decode(token[:LONGEST] + "=" * (-len(token) % 4))
            plain = AESGCM(self.key).decrypt(raw[:_NONCE], raw[_NONCE:], self._bound_to())
            expires, fields, place = json.loads(zlib.decompressobj().decompress(plain, _LARGEST))
        except (binascii.Error, ValueError, InvalidTag):
            raise Invalid("this page link is not ours, or not this client's") from None
        if self.clock().timestamp() > expires:
            raise Refusal(410, "expired", "this page link is older than an hour; ask again")
        return tuple((name, value) for name, value in fields), place

    def resumed(self, fields: Fields, beside: Collection[str] = OF_THE_ANSWER) -> tuple[Fields, list[Any] | None]:
        """The parameters themselves and None, or what a page link among them stands for and its place."""
        token = body.field(fields, PARAMETER)
        if token is None:
            return fields, None
        if any(name != PARAMETER and name not in beside for name, _ in fields):
            raise Invalid(f"a page link takes no other parameters than {', '.join(beside)}")
        return self.open(token)

    def _bound_to(self) -> bytes:
        return json.dumps(["dxgate/page/v2", self.client, self.scope]).encode()


def page_links(services: WebServices, client: Client, scope: str) -> PageLinks:
    return PageLinks(services.key("page"), client.name, scope, services.clock)


def page_size(told: str | None, default: int, most: int) -> int:
    """What `_count` asks for, at most `most`."""
    if told is None:
        return default
    if not (told.isascii() and told.isdigit() and int(told[:9]) > 0):
        raise Invalid("_count must be one number of 1 or more")
    return min(int(told[:9]), most)
