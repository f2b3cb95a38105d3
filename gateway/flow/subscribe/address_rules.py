"""Where notifications may go: a client names the address, so it must not lead us into our own network.

Checked when the Subscription is written (form) and again for every connection (what the name resolves to then).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.domain.errors import Forbidden, Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class AddressRules:
    """`networks` are private networks that may be reached; http is for loopback addresses unless `allow_http`."""

    allow_http: bool
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @classmethod
    def of(cls, allow_http: bool, networks: Sequence[str]) -> AddressRules:
        try:
            return cls(allow_http, tuple(ipaddress.ip_network(one) for one in networks))
        except ValueError:
            raise Invalid("a private network is written as address/bits") from None

    def check_url(self, url: str) -> None:
        """Invalid for what is no plain address of a web server; Forbidden for one that is not allowed."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise Invalid("the endpoint is no URL") from None
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise Invalid("the endpoint is an http or https URL")
        if parts.username is not None or parts.password is not None or parts.fragment or not url.isprintable():
            raise Invalid("the endpoint holds neither user, password nor fragment; use channel.header")
        literal = _literal(host)
        if literal is not None:
            self.check(parts.scheme, literal)
        elif parts.scheme == "http" and not self.allow_http and host != "localhost":
            raise Forbidden("the endpoint must be https")

    def check(self, scheme: str, address: Address) -> None:
        """Forbidden where a connection to this address is not allowed."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if scheme == "http" and not self.allow_http and not address.is_loopback:
            raise Forbidden("the endpoint must be https")
        if any(address in network for network in self.networks):
            return
        if not address.is_global or address.is_multicast:
            raise Forbidden("the endpoint lies in a network that is not allowed by subscriptions.private_networks")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
