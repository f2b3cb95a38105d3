"""The addresses of the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.domain.errors import GatewayError
from gateway.servers.web.console.audit import audit
from gateway.servers.web.console.consent import Consent
from gateway.servers.web.console.elsewhere import Elsewhere
from gateway.servers.web.console.held import held
from gateway.servers.web.console.held_decision import HeldDecision
from gateway.servers.web.console.held_object import held_object, held_picture
from gateway.servers.web.console.identity import IdentityPage
from gateway.servers.web.console.launch import Launch
from gateway.servers.web.console.login import CONSENT_PATH, SignIn
from gateway.servers.web.console.models import models
from gateway.servers.web.console.page import PAGE_HEADERS, Pages, Picture, Visit
from gateway.servers.web.console.report import report
from gateway.servers.web.console.report_decision import ReportDecision
from gateway.servers.web.console.reports import reports
from gateway.servers.web.console.studies import studies
from gateway.servers.web.console.study import picture, study
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices


def console_routes(services: WebServices) -> list[Route | Mount]:
    pages = Pages(services)
    sign_in = SignIn(pages)
    identity = IdentityPage(pages)
    elsewhere = Elsewhere(pages)
    apps = Consent(pages)
    return [
        Route("/console", _to_studies),
        Route("/console/login", sign_in.form, methods=["GET"]),
        Route("/console/login", sign_in.sign_in, methods=["POST"]),
        Route("/console/elsewhere", elsewhere.begin, methods=["GET"]),
        Route("/console/elsewhere/return", elsewhere.finish, methods=["GET"]),
        Route("/console/authorize", apps.begin, methods=["GET"]),
        Route(CONSENT_PATH, apps.ask, methods=["GET"]),
        Route(CONSENT_PATH, apps.decide, methods=["POST"]),
        Route("/console/logout", sign_in.sign_out, methods=["POST"]),
        Route("/console/studies", pages.endpoint("studies", studies)),
        Route("/console/studies/{study}", pages.endpoint("study", study)),
        Route("/console/studies/{study}/pictures/{finding}/{number}", _Pictures(pages, "picture", picture).show),
        Route("/console/reports", pages.endpoint("reports", reports)),
        Route("/console/reports/{report}", pages.endpoint("report", report), methods=["GET"]),
        Route("/console/reports/{report}", ReportDecision(pages).decide, methods=["POST"]),
        Route("/console/launch/{report}/{app}", Launch(pages).go, methods=["GET"]),
        Route("/console/held", pages.endpoint("held", held)),
        Route("/console/held/{instance}", pages.endpoint("held-object", held_object), methods=["GET"]),
        Route("/console/held/{instance}", HeldDecision(pages).decide, methods=["POST"]),
        Route("/console/held/{instance}/picture", _Pictures(pages, "held-picture", held_picture).show),
        Route("/console/models", pages.endpoint("models", models)),
        Route("/console/audit", pages.endpoint("audit", audit)),
        Route("/console/identity", identity.form, methods=["GET"]),
        Route("/console/identity", identity.open, methods=["POST"]),
        Mount("/console/static", _Static(directory=Path(__file__).parent / "static")),
    ]


async def _to_studies(request: Request) -> Response:
    name_request(request, "console.root")
    return RedirectResponse("/console/studies", 303)


class _Static(StaticFiles):
    """Style, script and mark: the same for everyone, so a browser may keep them for a while."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        answer = super().file_response(*arguments, **options)
        answer.headers["Cache-Control"] = "public, max-age=600"
        return answer


class _Pictures:
    """Sealed pictures as PNG. What they show is a patient's, so they are not cached either."""

    def __init__(self, pages: Pages, name: str, look: Callable[[Visit], Picture]) -> None:
        self._pages = pages
        self._name = f"console.{name}"
        self._look = look

    async def show(self, request: Request) -> Response:
        name_request(request, self._name)
        try:
            png = await self._pages.services.threads.work(self._png, request)
        except GatewayError as error:
            return self._pages.failed(request, error)
        if png is None:
            return RedirectResponse("/console/login", 303)
        return Response(png, media_type="image/png", headers=PAGE_HEADERS)

    def _png(self, request: Request) -> bytes | None:
        person = self._pages.who(request)
        if person is None:
            return None
        name_request(request, self._name, f"person:{person.id}")
        found = self._pages.seen(request, person, self._look)
        reports = self._pages.services.reports
        return reports.seal.open(found.patient, found.key, reports.blobs.get(found.key))
