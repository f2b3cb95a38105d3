"""Signing in with the hospital's account: the browser goes to the identity provider and comes back with a code."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.errors import GatewayError, Missing
from gateway.flow.sign_in_elsewhere import Attempt, SignInElsewhere
from gateway.servers.web.body import query_fields
from gateway.servers.web.client_credentials import address_of
from gateway.servers.web.console.login import after_sign_in, set_session
from gateway.servers.web.console.page import Pages
from gateway.servers.web.console.sealed_cookie import SealedCookie
from gateway.servers.web.request_log import name_request

COOKIE = "dxgate_elsewhere"
PATH = "/console/elsewhere"
BACK_TO_LOGIN = ("/console/login", "Back to signing in")
_SECONDS = 600


class Elsewhere:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._services = pages, pages.services
        secure = self._services.settings.base_url.startswith("https:")
        self._cookie = SealedCookie(self._services.key("elsewhere"), COOKIE, PATH, seconds=_SECONDS, secure=secure)

    async def begin(self, request: Request) -> Response:
        name_request(request, "console.elsewhere")
        try:
            self._services.address_rate.take(address_of(request))
            address, attempt = await self._services.threads.sign_in(self._flow().begin)
        except GatewayError as error:
            return self._pages.failed(request, error, BACK_TO_LOGIN)
        answer = RedirectResponse(address, 303)
        self._cookie.set(answer, vars(attempt))
        return answer

    async def finish(self, request: Request) -> Response:
        """A page of our own leads on: a redirect from another site would not bring the strict session cookie."""
        name_request(request, "console.elsewhere-return")
        try:
            kept = self._cookie.get(request)
            if kept is None:
                raise Missing("this sign-in took too long, or was begun in another browser; please begin again")
            person = await self._services.threads.sign_in(
                self._flow().finish, Attempt(**kept), dict(query_fields(request)), address_of(request)
            )
            session = await self._services.threads.sign_in(self._services.access.open_session, person)
        except GatewayError as error:
            answer: Response = self._pages.failed(request, error, BACK_TO_LOGIN)
            self._cookie.drop(answer)
            return answer
        name_request(request, "console.elsewhere-return", f"person:{person.id}")
        answer = self._pages.html("onward.html", request, {"address": after_sign_in(request)})
        set_session(answer, self._services, session)
        self._cookie.drop(answer)
        return answer

    def _flow(self) -> SignInElsewhere:
        if self._services.elsewhere is None:
            raise Missing("no identity provider is set up here")
        return self._services.elsewhere
