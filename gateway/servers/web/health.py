"""/healthz and /readyz: whether the process lives, and whether it can serve; open to everyone, so they say little."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.domain.errors import GatewayError
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices


class Health:
    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def alive(self, request: Request) -> JSONResponse:
        name_request(request, "health.alive")
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> JSONResponse:
        """503 where the database cannot be read; how many models are active otherwise."""
        name_request(request, "health.ready")
        try:
            active = await self._services.threads.work(self._active_models)
        except GatewayError as error:
            return JSONResponse({"status": "unavailable", "reason": error.category.value}, 503)
        return JSONResponse({"status": "ready", "active_models": active})

    def _active_models(self) -> int:
        with self._services.database.read() as unit:
            return len(unit.models.active())
