"""What a browser keeps for us between two pages, sealed: AES-256-GCM, bound to its purpose, for a short time.

Lax and not strict: the browser comes back from another site with it (RFC 6265bis 5.6.7).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from starlette.requests import Request
from starlette.responses import Response

from gateway.domain.errors import Invalid

_LONGEST = 3800  # a browser keeps 4 KB of a cookie, name and attributes included


class SealedCookie:
    """Texts by name under the cookie `name`, sent to `path` alone."""

    def __init__(
        self, key: bytes, name: str, path: str, *, seconds: int, secure: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._cipher, self._name, self._path = AESGCM(key), name, path
        self._seconds, self._secure, self._clock = seconds, secure, clock

    def set(self, answer: Response, told: dict[str, str]) -> None:
        """Invalid where it would be too long to be kept."""
        plain = json.dumps([self._clock() + self._seconds, told]).encode()
        nonce = os.urandom(12)
        sealed = base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, plain, self._name.encode()))
        if len(sealed) > _LONGEST:
            raise Invalid("this request is too long")
        answer.set_cookie(
            self._name,
            sealed.decode("ascii"),
            max_age=self._seconds,
            path=self._path,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def get(self, request: Request) -> dict[str, str] | None:
        """None where there is none, where it is not ours, or where its time is over."""
        try:
            raw = base64.urlsafe_b64decode(request.cookies.get(self._name, "")[:_LONGEST])
            until, told = json.loads(self._cipher.decrypt(raw[:12], raw[12:], self._name.encode()))
        except (binascii.Error, ValueError, InvalidTag):
            return None
        return {str(name): str(value) for name, value in told.items()} if until > self._clock() else None

    def drop(self, answer: Response) -> None:
        answer.delete_cookie(self._name, path=self._path)
