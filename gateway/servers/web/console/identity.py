"""The Identity page: a person who may leads one pseudonym back to a patient; the answer is shown once.

A form that is posted, never an address: what was asked stands in no history, log or link. The step
(flow/reidentify.py) checks role, purpose and quota and writes the audit rows before the answer leaves.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import Category, Forbidden, GatewayError
from gateway.domain.reidentification import LONGEST_NAME, LONGEST_REASON, MAY_REIDENTIFY, PURPOSES, Reidentified
from gateway.flow.reidentify import Asked
from gateway.servers.web.body import Fields, field, read_form
from gateway.servers.web.console.page import SESSION_COOKIE, STATUS, Pages
from gateway.servers.web.request_log import name_request

FORM = "identity"
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
            _check_role(person)
        except GatewayError as error:
            return self._pages.failed(request, error)
        return self._page(request, person, {})

    async def open(self, request: Request) -> Response:
        name_request(request, "console.identity")
        try:
            fields = await read_form(request, _MAX_FORM)
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.identity", f"person:{person.id}")
            _check_role(person)
            session = request.cookies.get(SESSION_COOKIE, "")
            if not self._pages.forms.fits(FORM, session, field(fields, "token") or ""):
                return self._page(request, person, {"problem": "This form is stale. Please try again."}, 403)
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
            return self._page(request, person, {"problem": f"{error}.", "asked": asked}, STATUS[error.category])
        return self._page(request, person, {"found": found, "asked": asked})

    def _page(self, request: Request, person: Person, data: dict[str, Any], status: int = 200) -> Response:
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
        return self._pages.html("identity.html", request, shown | data, person=person, here="identity", status=status)


def _check_role(person: Person) -> None:
    if person.role not in MAY_REIDENTIFY:
        raise Forbidden("your role may not lead a pseudonym back to a patient")


def _asked(fields: Fields) -> Asked:
    told = {name: (field(fields, name) or "").strip() for name in ("pseudonym", "purpose", "reason", "export")}
    return Asked(told["pseudonym"], told["purpose"], told["reason"], told["export"])
