"""One log line for each request: route name, status, milliseconds and who asked; never the address asked for.

An address may hold a patient's identifier, so uvicorn's access log is off and a route is named by its handler.
The same layer sets the headers that every answer carries (OWASP REST Security).
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
EVERY_ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def name_request(request: Request, route: str, who: str | None = None) -> None:
    """Says what the log line will call this request; both must be free of patient data."""
    request.scope["dxgate.route"] = route
    if who is not None:
        request.scope["dxgate.who"] = who


def request_number(request: Request) -> str:
    """The number under which log and audit trail know this request."""
    return str(request.scope.get("dxgate.request", ""))


def _number(scope: Scope) -> str:
    """The client's own, where it is a UUID: any other text of a client might name a patient."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _UUID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1")).lower()
    return str(uuid.uuid4())


class RequestLog:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, https: bool = False) -> None:
        self._app = app
        every = EVERY_ANSWER | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in every.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0
        scope["dxgate.request"] = number = _number(scope)

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                own = [one for one in self._headers if one[0] not in given]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode()), *own]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            log.info(
                "web.request",
                extra={
                    "fields": {
                        "route": scope.get("dxgate.route", "none"),
                        "status": status,
                        "ms": round((time.perf_counter() - started) * 1000, 1),
                        "client": scope.get("dxgate.who", "-"),
                        "request": number,
                    }
                },
            )
