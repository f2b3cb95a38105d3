"""The TLS context of our listeners: the BCP 195 secure connection profiles (PS3.15 Annex B), for the web port too.

TLS 1.2 at least, four ECDHE-GCM suites below 1.3, no renegotiation; mutual where client certificates are asked.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from gateway.domain.errors import Invalid

_TLS_1_2_SUITES = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
)


def tls_context(
    certificate: Path,
    key: Path,
    client_ca: Path | None,
    require_client_certificate: bool,
    revoked: Path | None = None,
) -> ssl.SSLContext:
    """A server context from PEM files; with `client_ca` the peer's certificate is verified against it.

    `revoked` holds the authority's revocation list; without a current one no client certificate is accepted then.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(_TLS_1_2_SUITES))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        if revoked is not None:
            context.load_verify_locations(revoked)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        context.verify_mode = ssl.CERT_REQUIRED if require_client_certificate else ssl.CERT_OPTIONAL
    elif require_client_certificate:
        raise Invalid("a client certificate can only be required with a client CA")
    return context


def subject(connection: ssl.SSLSocket) -> str | None:
    """The verified peer certificate's subject as `key=value` parts, or None without one."""
    certificate = connection.getpeercert()
    if not certificate:
        return None
    names = cast(Iterable[Iterable[tuple[str, str]]], certificate.get("subject", ()))
    return ",".join(f"{key}={value}" for name in names for key, value in name)
