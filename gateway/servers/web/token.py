"""The addresses under /auth: token, introspection, revocation (RFC 6749 4.4, RFC 7662, RFC 7009; errors as in 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.domain.access import Client, Grant
from gateway.domain.errors import Forbidden, GatewayError, Invalid, Unsupported
from gateway.flow.attempts import TooManyAttempts
from gateway.flow.authorize_app import CodeRefused
from gateway.flow.grant_access import NotAuthenticated
from gateway.flow.issue_token import IssuedToken
from gateway.flow.request_rate import TooManyRequests
from gateway.servers.web.body import Fields, field, read_form
from gateway.servers.web.client_credentials import LONGEST_ASSERTION, address_of, certificate_of, presented
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dxgate", charset="UTF-8"'}
_MAX_FORM = 16 * 1024
GRANT_TYPES = ("client_credentials", "authorization_code", "refresh_token")
Work = Callable[[Request, Fields], dict[str, Any]]


class TokenEndpoints:
    """One method for each address."""

    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def token(self, request: Request) -> JSONResponse:
        return await self._answered(request, "auth.token", self._issued)

    async def introspect(self, request: Request) -> JSONResponse:
        return await self._answered(request, "auth.introspect", self._introspected)

    async def revoke(self, request: Request) -> JSONResponse:
        return await self._answered(request, "auth.revoke", self._revoked)

    async def _answered(self, request: Request, route: str, work: Work) -> JSONResponse:
        name_request(request, route)
        if request.method != "POST":
            return _error(405, "invalid_request", "use POST", {"Allow": "POST"})
        try:
            self._services.address_rate.take(address_of(request))
            fields = await read_form(request, _MAX_FORM, longest=LONGEST_ASSERTION)
            body = await self._services.threads.sign_in(work, request, fields)
        except GatewayError as error:
            return _refused(error)
        return JSONResponse(body, headers=_NO_STORE)

    def _issued(self, request: Request, fields: Fields) -> dict[str, Any]:
        kind = field(fields, "grant_type")
        if kind not in GRANT_TYPES:
            raise UnknownGrant(f"grant_type is one of {', '.join(GRANT_TYPES)}")
        if kind == "client_credentials":
            client = self._client(request, fields)
            issued = self._services.issue.to_system(
                client, field(fields, "scope"), address_of(request), certificate_of(request)
            )
            return _told(issued)
        return _told(self._of_person(request, fields, kind))

    def _of_person(self, request: Request, fields: Fields, kind: str) -> IssuedToken:
        """A token of an app in which a person has signed in."""
        client = self._app(request, fields)
        apps, certificate = self._services.apps, certificate_of(request)
        if kind == "refresh_token":
            return apps.refresh(client, field(fields, "refresh_token") or "", field(fields, "scope"), certificate)
        return apps.redeem(
            client,
            code=field(fields, "code") or "",
            verifier=field(fields, "code_verifier") or "",
            redirect=field(fields, "redirect_uri") or "",
            certificate=certificate,
        )

    def _app(self, request: Request, fields: Fields) -> Client:
        """An app with credentials proves who it is; a public one is known by name, and its code by PKCE."""
        shown = presented(request, fields)
        named = self._services.access.known_client(shown.client_id)
        if named is not None and named.credentials == ("public",) and shown.secret is None and shown.assertion is None:
            name_request(request, "auth.token", f"client:{named.name}")
            return named
        return self._client(request, fields)

    def _client(self, request: Request, fields: Fields) -> Client:
        client = self._services.access.authenticate(presented(request, fields), address_of(request))
        name_request(request, request.scope["dxgate.route"], f"client:{client.name}")
        return client

    def _introspected(self, request: Request, fields: Fields) -> dict[str, Any]:
        client = self._client(request, fields)
        grant = self._services.issue.introspect(client, field(fields, "token") or "")
        return {"active": False} if grant is None else _state(grant, self._services.settings.base_url)

    def _revoked(self, request: Request, fields: Fields) -> dict[str, Any]:
        """An empty object also where the token is unknown (RFC 7009 2.2)."""
        self._services.issue.revoke(self._app(request, fields), field(fields, "token") or "")
        return {}


class UnknownGrant(Invalid):
    """unsupported_grant_type."""


def _told(issued: IssuedToken) -> dict[str, Any]:
    body: dict[str, Any] = {
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "scope": " ".join(issued.scopes),
    }
    body |= {"refresh_token": issued.refresh} if issued.refresh else {}
    body |= {"patient": issued.patient, "need_patient_banner": True} if issued.patient else {}
    body |= {"fhirContext": [{"reference": f"DiagnosticReport/{issued.report}"}]} if issued.report else {}
    return body | ({"id_token": issued.id_token} if issued.id_token else {})


def _state(grant: Grant, issuer: str) -> dict[str, Any]:
    """RFC 7662 2.2; `cnf` as in RFC 8705 3.2."""
    told: dict[str, Any] = {
        "active": True,
        "client_id": grant.holder,
        "scope": " ".join(grant.scopes),
        "exp": int(grant.expires_at.timestamp()),
        "iss": issuer,
        "sub": grant.person or grant.holder,
    }
    told |= {"token_type": "Bearer"} if grant.kind == "token" else {}
    told |= {"username": grant.person} if grant.person else {}
    told |= {"patient": grant.asked["patient"]} if "patient" in grant.asked else {}
    return told | ({"cnf": {"x5t#S256": grant.certificate}} if grant.certificate else {})


_CODES: tuple[tuple[type[GatewayError], int, str], ...] = (
    (NotAuthenticated, 401, "invalid_client"),
    (TooManyAttempts, 429, "slow_down"),
    (TooManyRequests, 429, "slow_down"),
    (CodeRefused, 400, "invalid_grant"),
    (UnknownGrant, 400, "unsupported_grant_type"),
    (Forbidden, 400, "invalid_scope"),
    (Invalid, 400, "invalid_request"),
    (Unsupported, 400, "invalid_request"),
)
"""The first that fits: class, status, code of RFC 6749 5.2."""


def _refused(error: GatewayError) -> JSONResponse:
    if isinstance(error, Refusal):
        return _error(error.status, "invalid_request", str(error), error.headers)
    for kind, status, code in _CODES:
        if isinstance(error, kind):
            wait = {"Retry-After": str(getattr(error, "seconds", 1))} if status == 429 else {}
            return _error(status, code, str(error), wait | (_CHALLENGE if status == 401 else {}))
    return _error(503, "temporarily_unavailable", "try again later", {"Retry-After": "5"})


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": code, "error_description": text}, status, headers=_NO_STORE | (headers or {}))
