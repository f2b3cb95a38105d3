"""The Identity page: a person who may leads one pseudonym back to a patient; the answer is shown once.

A form that is posted, never an address: what was asked stands in no history, log or link. The step
(flow/reidentify.py) checks role, purpose and quota and writes the audit rows before the answer leaves.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import Category, GatewayError
from gateway.domain.reidentification import LONGEST_NAME, LONGEST_REASON, MAY_REIDENTIFY, PURPOSES, Reidentified
from gateway.flow.reidentify import Asked
from gateway.servers.web.body import Fields, field, read_form
from gateway.servers.web.console.page import SESSION_COOKIE, STATUS, Pages, View
from gateway.servers.web.console.rights import Right, require
from gateway.servers.web.request_log import name_request

FORM = "identity"
RIGHT: Final[Right] = "lead a pseudonym back"
_MAX_FORM = 8 * 1024


class IdentityPage:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._services = pages.services

    async def form(self, request: Request) -> Response:
        name_request(request, "console.identity")
        try:
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            require(person, RIGHT)
        except GatewayError as error:
            return self._pages.failed(request, error)
        return await self._page(request, person, {})

    async def open(self, request: Request) -> Response:
        name_request(request, "console.identity")
        try:
            fields = await read_form(request, _MAX_FORM)
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.identity", f"person:{person.id}")
            require(person, RIGHT)
            session = request.cookies.get(SESSION_COOKIE, "")
            if not self._pages.forms.fits(FORM, session, field(fields, "token") or ""):
                return await self._page(request, person, {"problem": "This form is stale. Please try again."}, 403)
            asked = _asked(fields)
        except GatewayError as error:
            return self._pages.failed(request, error)
        return await self._answer(request, person, asked)

    async def _answer(self, request: Request, person: Person, asked: Asked) -> Response:
        try:
            found: Reidentified = await self._services.threads.work(self._services.reidentify, person, asked)
        except GatewayError as error:
            if error.category is Category.FAULT:
                return self._pages.failed(request, error)
            return await self._page(request, person, {"problem": f"{error}.", "asked": asked}, STATUS[error.category])
        return await self._page(request, person, {"found": found, "asked": asked})

    async def _page(self, request: Request, person: Person, data: dict[str, Any], status: int = 200) -> Response:
        allowed = MAY_REIDENTIFY[person.role]
        shown = {
            "found": None,
            "problem": "",
            "asked": Asked("", "", ""),
            "purposes": {code: words for code, words in PURPOSES.items() if code in allowed},
            "most": self._services.settings.privacy.reidentifications_per_hour,
            "longest_name": LONGEST_NAME,
            "longest_reason": LONGEST_REASON,
            "token": self._pages.forms.token(FORM, request.cookies.get(SESSION_COOKIE, "")),
        }
        view = View("identity.html", FORM, shown | data)
        return await self._services.threads.work(self._pages.show, view, request, person, "identity", status)


def _asked(fields: Fields) -> Asked:
    told = {name: (field(fields, name) or "").strip() for name in ("pseudonym", "purpose", "reason", "export")}
    return Asked(told["pseudonym"], told["purpose"], told["reason"], told["export"])
