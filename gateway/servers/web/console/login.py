"""Signing in and out: name and password, a session cookie that scripts and other sites cannot use."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.errors import Forbidden, GatewayError
from gateway.flow.attempts import TooManyAttempts
from gateway.flow.grant_access import NotAuthenticated
from gateway.servers.web.body import field, read_form
from gateway.servers.web.client_credentials import address_of
from gateway.servers.web.console.page import SESSION_COOKIE, Pages
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

FORM_COOKIE = "dxgate_form"
APP_COOKIE = "dxgate_app"
CONSENT_PATH = "/console/authorize/consent"
_MAX_FORM = 8 * 1024
_FORM_SECONDS = 3600


def after_sign_in(request: Request) -> str:
    """Where a person goes on: to the app that waits for an answer, else to the studies."""
    return CONSENT_PATH if request.cookies.get(APP_COOKIE) else "/console/studies"


def set_session(answer: Response, services: WebServices, session: str) -> None:
    answer.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=services.settings.web.session_seconds,
        path="/console",
        secure=services.settings.base_url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )


class SignIn:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._services = pages.services
        self._secure = pages.services.settings.base_url.startswith("https:")

    async def form(self, request: Request) -> Response:
        name_request(request, "console.login")
        return self._form(request)

    async def sign_in(self, request: Request) -> Response:
        name_request(request, "console.login")
        try:
            if not self._services.settings.web.local_sign_in:
                raise Forbidden("people sign in through the identity provider here")
            fields = await read_form(request, _MAX_FORM)
            if not self._is_ours(request, "sign-in", FORM_COOKIE, field(fields, "token") or ""):
                return self._form(request, "This form was open for too long. Please try again.", 403)
            session, person = await self._services.threads.sign_in(
                self._services.access.sign_in,
                field(fields, "name") or "",
                field(fields, "password") or "",
                address_of(request),
            )
        except NotAuthenticated:
            return self._form(request, "This name and password do not belong together.", 401)
        except TooManyAttempts as error:
            answer = self._form(request, f"Too many attempts. Please wait {error.seconds} seconds.", 429)
            answer.headers["Retry-After"] = str(error.seconds)
            return answer
        except GatewayError as error:
            return self._pages.failed(request, error)
        name_request(request, "console.login", f"person:{person.id}")
        answer = RedirectResponse(after_sign_in(request), 303)
        set_session(answer, self._services, session)
        answer.delete_cookie(FORM_COOKIE, path="/console")
        return answer

    async def sign_out(self, request: Request) -> Response:
        name_request(request, "console.logout")
        try:
            fields = await read_form(request, _MAX_FORM)
            person = await self._services.threads.sign_in(self._pages.who, request)
            if person is not None:
                if not self._is_ours(request, "sign-out", SESSION_COOKIE, field(fields, "token") or ""):
                    return self._form(request, "Signing out did not work. Please try again.", 403)
                token = request.cookies[SESSION_COOKIE]
                await self._services.threads.sign_in(self._services.access.sign_out, token, person)
        except GatewayError as error:
            return self._pages.failed(request, error)
        answer = RedirectResponse("/console/login", 303)
        answer.delete_cookie(SESSION_COOKIE, path="/console")
        return answer

    def _form(self, request: Request, problem: str = "", status: int = 200) -> Response:
        cookie = secrets.token_urlsafe(16)
        data = {
            "problem": problem,
            "token": self._pages.forms.token("sign-in", cookie),
            "local": self._services.settings.web.local_sign_in,
            "elsewhere": self._services.elsewhere is not None,
        }
        answer = self._pages.html("login.html", request, data, status=status)
        self._set(answer, FORM_COOKIE, cookie, _FORM_SECONDS)
        return answer

    def _is_ours(self, request: Request, form: str, cookie: str, given: str) -> bool:
        return self._pages.forms.fits(form, request.cookies.get(cookie, ""), given)

    def _set(self, answer: Response, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            name, value, max_age=seconds, path="/console", secure=self._secure, httponly=True, samesite="strict"
        )
