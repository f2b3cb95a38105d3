"""A client's secret or a person's password in the form in which it is stored: scrypt with its own salt (RFC 7914).

The cost (16 MiB, five passes) follows OWASP's password storage advice; a known cost for unknown names keeps an
attacker from learning by the clock which names exist.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata
from functools import cache

from gateway.domain.errors import Busy, Fault, Invalid

LONGEST_SECRET = 1024
_N, _R, _P = 1 << 14, 8, 5
_LARGEST = (1 << 17, 16, 16)  # what a stored hash may ask of this machine
_AT_ONCE = threading.BoundedSemaphore(2)  # memory and CPU that guessing may take
_WAIT_SECONDS = 10.0


def new_secret() -> str:
    """A secret for a client: 256 random bits as text."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """`scrypt$n$r$p$salt$hash`; Invalid where the secret is empty or longer than 1024 characters."""
    if not 0 < len(secret) <= LONGEST_SECRET:
        raise Invalid(f"a secret or password has 1 to {LONGEST_SECRET} characters")
    salt = secrets.token_bytes(16)
    derived = _derive(secret, salt, _N, _R, _P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(derived)))


def fits(secret: str, stored: str | None) -> bool:
    """Whether `stored` was made from `secret`; takes the same time where nothing is stored."""
    usable = 0 < len(secret) <= LONGEST_SECRET
    n, r, p, salt, expected = _parse(stored or _nobody())
    derived = _derive(secret if usable else "-", salt, n, r, p)
    return hmac.compare_digest(derived, expected) and usable and stored is not None


@cache
def _nobody() -> str:
    return hash_secret(new_secret())


def _derive(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """NFKC first: the same password typed on two keyboards is the same password."""
    if not _AT_ONCE.acquire(timeout=_WAIT_SECONDS):
        raise Busy("too many sign-ins at a time")
    try:
        password = unicodedata.normalize("NFKC", secret).encode("utf-8", "surrogatepass")
        return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=512 << 20, dklen=32)
    finally:
        _AT_ONCE.release()


def _parse(stored: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, n, r, p, salt, derived = stored.split("$")
        cost = (int(n), int(r), int(p))
        found = (*cost, base64.b64decode(salt, validate=True), base64.b64decode(derived, validate=True))
    except ValueError:
        raise Fault("a stored secret is damaged") from None
    if kind != "scrypt" or any(asked > most for asked, most in zip(cost, _LARGEST, strict=True)):
        raise Fault("a stored secret has a form that this release does not know")
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
