"""A small document at an https address that somebody else has named: a client's key set, a provider's description.

Bounded in size and time, without redirects. The host is resolved here and the connection goes to the very address that
was judged, so that a name cannot point inside the hospital, or at another machine a moment later (CWE-918).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from gateway.domain.errors import Invalid, Unavailable
from gateway.whole_time import TimedTransport, WholeTime

LARGEST = 64 * 1024
SECONDS = 5.0
_LONGEST_URL = 2048


@dataclass(frozen=True)
class HttpsDocuments:
    """`private` allows addresses inside the hospital; `ca` is a PEM file that signs their certificates."""

    private: bool = False
    ca: str = ""

    def get(self, url: str) -> bytes:
        """The body. Invalid where the address may not be asked, Unavailable where it does not answer 200."""
        return self.ask("GET", url)

    def ask(
        self, method: str, url: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None
    ) -> bytes:
        """The body of an answer 200 to a GET or to a form that is posted."""
        host, port = checked(url)
        address = self._resolved(host, port)
        parts = urlsplit(url)
        literal = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{literal}:{port}", fragment="").geturl()
        named = f"[{host}]" if ":" in host else host
        headers = {"Host": named if port == 443 else f"{named}:{port}", "Accept": "application/json"}
        whole = WholeTime()
        transport = TimedTransport(whole, ssl.create_default_context(cafile=self.ca or None))
        try:
            with (
                whole.of(SECONDS),
                httpx.Client(transport=transport, timeout=SECONDS, trust_env=False) as client,
                client.stream(
                    method, target, headers=headers, data=form, auth=auth, extensions={"sni_hostname": host}
                ) as answer,
            ):
                return _body(answer)
        except httpx.HTTPError as error:
            raise Unavailable(f"a document cannot be fetched ({type(error).__name__})") from None

    def _resolved(self, host: str, port: int) -> str:
        """The first address of the host, where all of them may be asked."""
        try:
            found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError):
            raise Unavailable("the host of a document cannot be resolved") from None
        if not self.private and not all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found):
            raise Invalid("this address is not public; web.private_key_sets allows it")
        return found[0]


def checked(url: str) -> tuple[str, int]:
    """Host and port of an https address without credentials; Invalid for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise Invalid("this is no address") from None
    if (
        len(url) > _LONGEST_URL
        or parts.scheme != "https"
        or not host
        or parts.username is not None
        or not url.isascii()
    ):
        raise Invalid("an address begins with https:// and a host, and holds no credentials")
    return host, port


def _body(answer: httpx.Response) -> bytes:
    if answer.status_code != 200:
        raise Unavailable(f"a document was answered with status {answer.status_code}")
    body = b""
    for part in answer.iter_bytes():
        body += part
        if len(body) > LARGEST:
            raise Unavailable(f"a document is larger than {LARGEST} bytes")
    return body
