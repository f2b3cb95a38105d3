"""Which browser apps of other sites may call us (Fetch Standard 3.2, CORS; SMART App Launch 2.2, 1.1).

Off unless origins are named. FHIR, discovery and the token endpoints alone: the console, which knows people by a
cookie, answers no other site, and no answer allows cookies to be sent along.
"""

from __future__ import annotations

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_PLACES: Final = ("/fhir", "/.well-known", "/auth")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ASKED: Final = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    "If-None-Exist",
    "If-Modified-Since",
    "Prefer",
    "X-Request-Id",
)
_SHOWN: Final = (
    "ETag",
    "Location",
    "Content-Location",
    "Last-Modified",
    "Retry-After",
    "X-Progress",
    "WWW-Authenticate",
    "X-Request-Id",
)


class CrossOrigin:
    """ASGI: preflights are answered here, and answers to the named origins say that they may be read."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_ASKED, expose_headers=_SHOWN
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_open = any(path == place or path.startswith(f"{place}/") for place in _PLACES)
        await (self._open if is_open else self._app)(scope, receive, send)
