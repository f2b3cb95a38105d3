"""Sends notifications to the addresses that clients have named, and to no other place than those.

The name is resolved once, every address is judged, and the connection goes to the one that was judged: between a check
and a connection of its own a name could come to mean something else. Answers are not read beyond their status, and come
within the time that there is for the whole: the threads that wait for them serve all clients.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpcore
import httpx

from gateway.domain.errors import Unavailable
from gateway.flow.subscribe.address_rules import AddressRules
from gateway.formats.fhir.element import MEDIA_TYPE
from gateway.whole_time import TimedNetwork, WholeTime

_FAILURES: Final = (
    httpx.InvalidURL,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)


@dataclass(frozen=True)
class RestHook:
    """Implements Hook; used by several threads."""

    rules: AddressRules
    _pool: httpcore.ConnectionPool = field(init=False, repr=False)
    _whole: WholeTime = field(default_factory=WholeTime, repr=False)

    def __post_init__(self) -> None:
        pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=64,
            max_keepalive_connections=16,
            keepalive_expiry=5.0,
            network_backend=TimedNetwork(self._whole),
        )
        object.__setattr__(self, "_pool", pool)

    def send(
        self, method: str, url: str, body: bytes | None, headers: Sequence[tuple[str, str]], seconds: float
    ) -> None:
        """Unavailable, with the status alone, unless the endpoint has answered 2xx; HEAD is content with any answer."""
        self.rules.check_url(url)
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = self._address(parts.scheme, host, port)
        shown = f"[{address}]" if ":" in address else address
        target = urlunsplit((parts.scheme, f"{shown}:{port}", parts.path or "/", parts.query, ""))
        sent = [("Host", parts.netloc), *headers]
        if body is not None:
            sent.append(("Content-Type", MEDIA_TYPE))
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        asked = {"timeout": timeouts, "sni_hostname": host}
        try:
            with (
                self._whole.of(seconds),
                self._pool.stream(method, _url(target), headers=sent, content=body, extensions=asked) as answer,
            ):
                status = answer.status
        except (*_FAILURES, ssl.SSLError, ValueError) as error:
            raise Unavailable(f"the endpoint cannot be reached ({type(error).__name__})") from None
        if not 200 <= status < 300 and not (method == "HEAD" and status < 500 and status not in (401, 403)):
            raise Unavailable(f"the endpoint has answered {status}")

    def _address(self, scheme: str, host: str, port: int) -> str:
        """The first address of the name; Forbidden where any of them may not be reached."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unavailable("the endpoint's name does not resolve") from None
        addresses = list(dict.fromkeys(str(one[4][0]).partition("%")[0] for one in found))
        for one in addresses:
            self.rules.check(scheme, ipaddress.ip_address(one))
        return addresses[0]


def _url(target: str) -> httpcore.URL:
    """With what no URL holds escaped; InvalidURL where it is none."""
    url = httpx.URL(target)
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
