"""The web application: which address goes to whom."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.formats.fhir.outcome import issue
from gateway.servers.web.console.routes import console_routes
from gateway.servers.web.cross_origin import CrossOrigin
from gateway.servers.web.fhir.capabilities import openid_configuration, smart_configuration
from gateway.servers.web.fhir.endpoint import PREFIX, FhirEndpoint
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.health import Health
from gateway.servers.web.request_log import RequestLog, name_request
from gateway.servers.web.services import WebServices
from gateway.servers.web.token import TokenEndpoints

log = logging.getLogger(__name__)
_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def create_app(services: WebServices) -> ASGIApp:
    """The application over ready services; FHIR goes past Starlette, whose layers cost as much as a small read."""
    health, tokens, fhir = Health(services), TokenEndpoints(services), FhirEndpoint(services)

    async def smart(request: Request) -> Response:
        name_request(request, "fhir.smart-configuration")
        return JSONResponse(smart_configuration(services))

    async def openid(request: Request) -> Response:
        name_request(request, "openid-configuration")
        return JSONResponse(openid_configuration(services))

    async def keys(request: Request) -> Response:
        name_request(request, "auth.jwks")
        return JSONResponse(await services.threads.work(services.id_tokens.public_keys))

    others = Starlette(
        routes=[
            Route("/", _to_console),
            Route("/healthz", health.alive),
            Route("/readyz", health.ready),
            Route("/auth/token", tokens.token, methods=_ANY_METHOD),
            Route("/auth/introspect", tokens.introspect, methods=_ANY_METHOD),
            Route("/auth/revoke", tokens.revoke, methods=_ANY_METHOD),
            Route("/auth/jwks", keys),
            Route("/.well-known/smart-configuration", smart),
            Route("/.well-known/openid-configuration", openid),
            *console_routes(services),
        ],
        exception_handlers={404: _nothing_here, 405: _wrong_method, Exception: _crash},
    )
    app: ASGIApp = FhirFirst(others, fhir)
    if services.settings.web.cross_origins:
        app = CrossOrigin(app, services.settings.web.cross_origins)
    return RequestLog(app, https=services.settings.base_url.startswith("https:"))


class FhirFirst:
    """ASGI: what is for the FHIR endpoint goes there, past the routes of everything else."""

    def __init__(self, app: ASGIApp, fhir: ASGIApp) -> None:
        self._app, self._fhir = app, fhir

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_fhir = scope["type"] == "http" and (path == PREFIX or path.startswith(f"{PREFIX}/"))
        await (self._fhir if is_fhir else self._app)(scope, receive, send)


async def _to_console(request: Request) -> Response:
    name_request(request, "root")
    return RedirectResponse("/console", 303)


async def _nothing_here(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/fhir"):
        return Answer(404, issue("not-found", "there is nothing at this address")).response()
    return PlainTextResponse("There is nothing at this address.\n", 404)


async def _wrong_method(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None) or {}
    if request.url.path.startswith("/fhir"):
        return Answer(405, issue("not-supported", "this method is not served here"), headers).response()
    return PlainTextResponse("This method is not served here.\n", 405, headers=headers)


async def _crash(request: Request, error: Exception) -> Response:
    log.error("web.crash", exc_info=error)
    return PlainTextResponse("Internal error.\n", 500)
