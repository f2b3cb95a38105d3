"""POST /auth/token: an access token by client credentials (RFC 6749 4.4; errors as in 5.2)."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.domain.errors import Forbidden, GatewayError, Invalid, Unsupported
from gateway.flow.attempts import TooManyAttempts
from gateway.flow.grant_access import NotAuthenticated
from gateway.servers.web.body import field, read_form
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dxgate", charset="UTF-8"'}


class TokenEndpoint:
    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def __call__(self, request: Request) -> JSONResponse:
        name_request(request, "auth.token")
        if request.method != "POST":
            return _error(405, "invalid_request", "use POST", {"Allow": "POST"})
        try:
            fields = await read_form(request)
            if field(fields, "grant_type") != "client_credentials":
                return _error(400, "unsupported_grant_type", "grant_type must be client_credentials")
            name, secret = _credentials(request, field(fields, "client_id"), field(fields, "client_secret"))
            scope = field(fields, "scope")
            issued = await self._services.threads.sign_in(
                self._services.access.issue_token, name, secret, scope, address_of(request)
            )
        except GatewayError as error:
            return _refused(error)
        name_request(request, "auth.token", f"client:{name}")
        body = {"access_token": issued.token, "token_type": "Bearer", "expires_in": issued.seconds}
        return JSONResponse(body | {"scope": " ".join(issued.scopes)}, headers=_NO_STORE)


def address_of(request: Request) -> str:
    """The address of the peer; forwarding headers are not believed, because anyone can write them."""
    return request.client.host if request.client else ""


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


def _credentials(request: Request, form_id: str | None, form_secret: str | None) -> tuple[str, str]:
    """From the header or the form, never both (RFC 6749 2.3)."""
    header = request.headers.get("authorization", "")
    if header.lower().startswith("basic "):
        if form_secret is not None:
            raise Invalid("give the client's secret in the header or in the form, not in both")
        name, secret = basic_credentials(header)
        return unquote_plus(name), unquote_plus(secret)  # RFC 6749 2.3.1: both are form-encoded first
    if form_id is None or form_secret is None:
        raise NotAuthenticated("no client credentials")
    return form_id, form_secret


def _refused(error: GatewayError) -> JSONResponse:
    if isinstance(error, NotAuthenticated):
        return _error(401, "invalid_client", str(error), _CHALLENGE)
    if isinstance(error, TooManyAttempts):
        return _error(429, "slow_down", str(error), {"Retry-After": str(error.seconds)})
    if isinstance(error, Forbidden):
        return _error(400, "invalid_scope", str(error))
    if isinstance(error, Refusal):
        return _error(error.status, "invalid_request", str(error), error.headers)
    if isinstance(error, Invalid | Unsupported):
        return _error(400, "invalid_request", str(error))
    return _error(503, "temporarily_unavailable", "try again later", {"Retry-After": "5"})


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": code, "error_description": text}, status, headers=_NO_STORE | (headers or {}))
