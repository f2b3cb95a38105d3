"""How a console page is made: who is signed in, the view's data, the template, the headers.

Templates escape everything; the content security policy forbids what escaping might miss: no script (but for our own
file on the one page where boxes are drawn), no inline style, nothing from elsewhere (OWASP ASVS 14.4).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import Category, GatewayError, Missing
from gateway.domain.ids import BlobKey, Pseudonym
from gateway.servers.web.body import Fields, query_fields
from gateway.servers.web.console.form_token import FormTokens
from gateway.servers.web.console.rights import may
from gateway.servers.web.console.wording import FILTERS
from gateway.servers.web.noted_reading import NotedReading
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

log = logging.getLogger(__name__)
T = TypeVar("T")
SESSION_COOKIE = "dxgate_session"
TO_STUDIES = ("/console/studies", "Back to the studies")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SCRIPT_POLICY = f"{POLICY}; script-src 'self'"
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
MOST_COUNTED = 99
"""Held objects that the navigation counts; beyond, it says that there are more."""
STATUS = {
    Category.INVALID: 400,
    Category.FORBIDDEN: 403,
    Category.UNSUPPORTED: 400,
    Category.CONFLICT: 409,
    Category.MISSING: 404,
    Category.BUSY: 429,
    Category.UNAVAILABLE: 503,
    Category.FAULT: 500,
}


@dataclass(frozen=True)
class Visit:
    """Somebody who is signed in looks at something."""

    services: WebServices
    person: Person
    unit: NotedReading
    path: Mapping[str, str]
    fields: Fields
    form_token: Callable[[str], str] = field(repr=False)
    """The token of a form by its name, for the session of this visit."""

    @property
    def actor(self) -> str:
        return f"person:{self.person.name}"

    def field(self, name: str) -> str:
        """The last value of a query parameter, or empty."""
        return next((value.strip() for key, value in reversed(self.fields) if key == name), "")


@dataclass(frozen=True)
class View:
    """A template and its data; `subject` is what the audit trail says was looked at."""

    template: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    policy: str = POLICY


@dataclass(frozen=True)
class Picture:
    """A sealed PNG: where it lies, and whose key opens it."""

    patient: Pseudonym
    key: BlobKey


Look = Callable[[Visit], View]
Endpoint = Callable[[Request], Awaitable[Response]]


class Pages:
    """Makes endpoints of views."""

    def __init__(self, services: WebServices) -> None:
        self.services = services
        self.forms = FormTokens(services.key("form"))
        self._templates = Environment(
            loader=PackageLoader("gateway.servers.web.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)

    def endpoint(self, name: str, look: Look) -> Endpoint:
        """A page for people who are signed in; everybody else is sent to sign in."""

        async def shown(request: Request) -> Response:
            name_request(request, f"console.{name}")
            try:
                person = await self.services.threads.work(self.who, request)
                if person is None:
                    return RedirectResponse("/console/login", 303)
                name_request(request, f"console.{name}", f"person:{person.id}")
                view = await self.services.threads.work(self._seen, name, look, request, person)
                return await self.services.threads.work(self.show, view, request, person, name)
            except GatewayError as error:
                return self.failed(request, error)

        return shown

    def who(self, request: Request) -> Person | None:
        return self.services.access.session(request.cookies.get(SESSION_COOKIE, ""))

    def seen(self, request: Request, person: Person, look: Callable[[Visit], T]) -> T:
        """Runs `look` in a reading unit; the audit rows are durable when it returns."""
        token = partial(self._token, request)
        with self.services.reading() as unit:
            return look(Visit(self.services, person, unit, request.path_params, query_fields(request), token))

    def show(self, view: View, request: Request, person: Person, here: str, status: int = 200) -> HTMLResponse:
        """The view as a page, with the number of held objects and unsigned reports for those whom they concern."""
        counts = {"held_count": 0, "unsigned_count": 0}
        with self.services.database.read() as unit:
            if may(person, "list held objects"):
                counts["held_count"] = unit.clearances.count("held", MOST_COUNTED + 1)
            if may(person, "decide about reports"):
                counts["unsigned_count"] = unit.reports.count_waiting(MOST_COUNTED + 1)
        data = {**view.data, **counts}
        answer = self.html(view.template, request, data, person=person, here=here, status=status)
        answer.headers["Content-Security-Policy"] = view.policy
        return answer

    def html(
        self,
        template: str,
        request: Request,
        data: Mapping[str, Any],
        *,
        person: Person | None = None,
        here: str = "",
        status: int = 200,
    ) -> HTMLResponse:
        page = self._templates.get_template(template).render(
            **data,
            person=person,
            may=partial(may, person),
            here=here,
            most_counted=MOST_COUNTED,
            organization=self.services.settings.gateway.organization,
            sign_out_token=self._token(request, "sign-out") if person else "",
        )
        return HTMLResponse(page, status, PAGE_HEADERS)

    def failed(self, request: Request, error: GatewayError, back: tuple[str, str] = TO_STUDIES) -> HTMLResponse:
        """What went wrong, and a way back."""
        status = getattr(error, "status", None) or STATUS[error.category]
        if error.category is Category.FAULT:
            log.error("console.fault", exc_info=error)
        text = "Something went wrong here." if error.category is Category.FAULT else str(error)
        title = "Not found" if isinstance(error, Missing) else "This did not work"
        return self.html("error.html", request, {"title": title, "text": text, "back": back}, status=status)

    def _token(self, request: Request, form: str) -> str:
        return self.forms.token(form, request.cookies.get(SESSION_COOKIE, ""))

    def _seen(self, name: str, look: Look, request: Request, person: Person) -> View:
        def audited(visit: Visit) -> View:
            view = look(visit)
            visit.unit.audit.record("console:view", view.subject, visit.actor, page=name)
            return view

        return self.seen(request, person, audited)
