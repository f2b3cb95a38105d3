"""httpx reads all authorities that the machine trusts for every client that it makes, 40 ms each: here once."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

from httpx import _config
from httpx._transports import default

_made = _config.create_ssl_context


def share_tls_context() -> None:
    """For the rest of this process; who names authorities or a certificate of their own gets a context of their own."""
    default.create_ssl_context = _context


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is not True or cert is not None:
        return _made(verify, cert, trust_env)
    return _trusted(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(trust_env: bool, _file: str | None, _folder: str | None) -> ssl.SSLContext:
    return _made(True, None, trust_env)
