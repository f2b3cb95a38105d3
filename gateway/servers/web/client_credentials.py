"""What a request to the token endpoint shows of who asks: header, form, assertion, certificate (RFC 6749 2.3)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_plus

from starlette.requests import Request

from gateway.domain.errors import Invalid
from gateway.flow.client_assertion import ASSERTION_TYPE
from gateway.flow.client_certificate import PeerCertificate
from gateway.flow.grant_access import NotAuthenticated, Presented
from gateway.servers.web.body import Fields, field

LONGEST_ASSERTION = 8192
PEER_CERTIFICATE = "dxgate.peer_certificate"


def address_of(request: Request) -> str:
    """The address of the peer; forwarding headers are not believed, because anyone can write them."""
    return request.client.host if request.client else ""


def certificate_of(request: Request) -> PeerCertificate | None:
    """The certificate that TLS has verified on this connection, if the peer showed one."""
    shown = (request.scope.get("extensions") or {}).get(PEER_CERTIFICATE)
    return PeerCertificate(shown["der"]) if shown else None


def basic_credentials(header: str) -> tuple[str, str]:
    """User and password of an HTTP Basic header (RFC 7617); Invalid where it is malformed."""
    try:
        decoded = base64.b64decode(header[len("basic ") :].strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Invalid("malformed Basic credentials") from None
    name, colon, secret = decoded.partition(":")
    if not colon:
        raise Invalid("malformed Basic credentials")
    return name, secret


def presented(request: Request, fields: Fields) -> Presented:
    """Secret from the header or the form, never both; or an assertion; the certificate in any case."""
    header = request.headers.get("authorization", "")
    form_id, form_secret = field(fields, "client_id"), field(fields, "client_secret")
    certificate, assertion = certificate_of(request), _assertion(fields)
    if header.lower().startswith("basic "):
        if form_secret is not None or assertion is not None:
            raise Invalid("give the client's credentials in the header or in the form, not in both")
        name, secret = basic_credentials(header)
        # RFC 6749 2.3.1: both are form-encoded first
        return Presented(unquote_plus(name), unquote_plus(secret), certificate=certificate)
    if form_secret is not None and form_id is None:
        raise NotAuthenticated("no client credentials")
    return Presented(form_id or "", form_secret, assertion, certificate)


def _assertion(fields: Fields) -> str | None:
    kind, assertion = field(fields, "client_assertion_type"), field(fields, "client_assertion")
    if kind is None and assertion is None:
        return None
    if kind != ASSERTION_TYPE or not assertion:
        raise Invalid(f"client_assertion goes with client_assertion_type {ASSERTION_TYPE}")
    return assertion
