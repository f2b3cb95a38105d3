"""Fetches lines to import from hosts that the operator has named, and from no other (bulk import)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from gateway.domain.errors import Forbidden, Invalid, Unavailable
from gateway.whole_time import TimedTransport, WholeTime

_SECONDS = 30.0
_LONGEST_SECONDS = 600.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_source(url: str, hosts: tuple[str, ...]) -> None:
    """Forbidden unless the host is named in bulk.import_hosts and the address is https, or loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        named = host if parts.port is None else f"{host}:{parts.port}"
    except ValueError:
        raise Invalid("an input's url is no URL") from None
    if parts.scheme not in ("https", "http") or parts.username or parts.password or not url.isprintable():
        raise Invalid("an input's url is an https URL without user or password")
    if named not in hosts and host not in hosts:
        raise Forbidden("an input's host is not among those of bulk.import_hosts")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise Forbidden("an input's url must be https")


@dataclass(frozen=True)
class HttpBulkSource:
    """Implements BulkSource."""

    hosts: tuple[str, ...]
    most_bytes: int

    def fetch(self, url: str) -> bytes:
        """The whole answer, uncompressed; no redirect is followed."""
        check_source(url, self.hosts)
        headers = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "identity"}
        found, whole = bytearray(), WholeTime()
        transport = TimedTransport(whole, ssl.create_default_context())
        try:
            with (
                whole.of(_LONGEST_SECONDS),
                httpx.Client(transport=transport, trust_env=False, timeout=_SECONDS) as client,
                client.stream("GET", url, headers=headers) as answer,
            ):
                if answer.status_code != 200:
                    raise Unavailable(f"an input's host has answered {answer.status_code}")
                for part in answer.iter_raw():
                    found += part
                    if len(found) > self.most_bytes:
                        raise Invalid(f"an input has more than {self.most_bytes} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"an input cannot be fetched ({type(error).__name__})") from None
        return bytes(found)
