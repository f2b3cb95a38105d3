"""Takes a person's decision about a held object from the form, and answers with the list (post, redirect, get).

The token in the form is bound to the session and to what was on the page, so that no other site can decide, and
nobody decides about an object that has changed since he looked at it.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import Conflict, Forbidden, GatewayError, Invalid
from gateway.servers.web.body import Fields, field, read_form
from gateway.servers.web.console.held_form import Order, filled, order
from gateway.servers.web.console.held_object import HeldObject, find_object, form_name, held_view
from gateway.servers.web.console.page import SESSION_COOKIE, Pages, View, Visit
from gateway.servers.web.console.rights import require
from gateway.servers.web.request_log import name_request

_MAX_FORM = 16 * 1024
_LIST = "/console/held"


class HeldDecision:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._services = pages.services

    async def decide(self, request: Request) -> Response:
        name_request(request, "console.held-decision")
        try:
            fields = await read_form(request, _MAX_FORM)
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.held-decision", f"person:{person.id}")
            done = await self._services.threads.work(self._decided, request, person, fields)
            if isinstance(done, Order):
                return RedirectResponse(f"{_LIST}?done={done.action}", 303)
            return await self._services.threads.work(self._pages.show, done, request, person, "held-object", 400)
        except GatewayError as error:
            return self._pages.failed(request, error, back=(_LIST, "Back to the held objects"))

    def _decided(self, request: Request, person: Person, fields: Fields) -> Order | View:
        def ordered(visit: Visit) -> tuple[HeldObject, Order] | View:
            require(person, "decide about held objects")
            found = find_object(visit.unit, visit.path["instance"])
            self._check_token(request, found, fields)
            try:
                return found, order(fields, found.offered, found.proposed, found.columns, found.rows)
            except Invalid as error:
                return held_view(visit, found, filled(fields), str(error))

        answer = self._pages.seen(request, person, ordered)
        if isinstance(answer, View):
            return answer
        found, wanted = answer
        self._carry_out(found, wanted, f"person:{person.name}")
        return wanted

    def _check_token(self, request: Request, found: HeldObject, fields: Fields) -> None:
        """A token that was good for what the page showed, but not for what is there now, tells a conflict."""
        cookie, token = request.cookies.get(SESSION_COOKIE, ""), field(fields, "token") or ""
        if self._pages.forms.fits(form_name(found), cookie, token):
            return
        shown = f"held {found.instance.id} {field(fields, 'seen') or ''}"
        if self._pages.forms.fits(shown, cookie, token):
            raise Conflict(
                f"The object has changed since you opened its page; it is {found.instance.clearance} now. "
                "Somebody else may have decided. Your decision was not carried out."
            )
        raise Forbidden("This form was not opened in your present session. Please open the object again.")

    def _carry_out(self, found: HeldObject, wanted: Order, actor: str) -> None:
        decide, number = self._services.held, found.instance.id
        if wanted.action == "mask":
            decide.mask(number, actor, wanted.boxes, wanted.reason)
        elif wanted.action == "release":
            decide.release(number, actor, wanted.reason)
        elif wanted.action == "recheck":
            decide.recheck(number, actor, wanted.reason)
        else:
            decide.reject(number, actor, wanted.reason)
