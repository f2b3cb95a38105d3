"""Tokens in forms, bound to a cookie that no other site can read or set, against forged requests (CWE-352).

HMAC-based, without state: the form holds a code over the form's name and the cookie. Signing in has a token too,
so that nobody can sign a victim in as himself.
"""

from __future__ import annotations

import hashlib
import hmac


class FormTokens:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, form: str, cookie: str) -> str:
        return hmac.digest(self._key, f"{form}\x00{cookie}".encode("utf-8", "replace"), hashlib.sha256).hex()

    def fits(self, form: str, cookie: str, given: str) -> bool:
        expected = self.token(form, cookie)
        return bool(cookie) and hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
