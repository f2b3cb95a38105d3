"""Takes a physician's decision about a report from the form, and answers with the worklist (post, redirect, get).

The token in the form is bound to the session and to the version on the page, so that no other site can sign, and
nobody signs what has changed since he looked at it.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import Conflict, Forbidden, GatewayError, Invalid, Unsupported
from gateway.domain.review import ENDS, Outcome, offered
from gateway.flow.review import LONGEST_CONCLUSION, Decision
from gateway.servers.web.body import Fields, field, read_form
from gateway.servers.web.console.page import SESSION_COOKIE, Pages, View, Visit
from gateway.servers.web.console.report import Filled, FoundReport, find_report, form_name, report_view
from gateway.servers.web.console.rights import require
from gateway.servers.web.request_log import name_request

_MAX_FORM: Final = 256 * 1024
_TEXTS: Final = {"conclusion": 2 * LONGEST_CONCLUSION, "addendum": 2 * LONGEST_CONCLUSION}
_LIST: Final = "/console/reports"


class ReportDecision:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._services = pages.services

    async def decide(self, request: Request) -> Response:
        name_request(request, "console.report-decision")
        try:
            fields = await read_form(request, _MAX_FORM, texts=_TEXTS)
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.report-decision", f"person:{person.id}")
            done = await self._services.threads.work(self._decided, request, person, fields)
            if isinstance(done, Decision):
                return RedirectResponse(f"{_LIST}?done={done.outcome}", 303)
            return await self._services.threads.work(self._pages.show, done, request, person, "report", 400)
        except GatewayError as error:
            return self._pages.failed(request, error, back=(_LIST, "Back to the reports"))

    def _decided(self, request: Request, person: Person, fields: Fields) -> Decision | View:
        """The decision that was carried out, or the page again with what is wrong."""

        def read(visit: Visit) -> FoundReport:
            require(person, "decide about reports")
            found = find_report(visit.unit, visit.path["report"])
            self._check_token(request, found, fields)
            return found

        found = self._pages.seen(request, person, read)
        try:
            decision = _decision(found, fields)
            self._carry_out(found, person, decision)
        except Invalid as error:
            problem = str(error)
            return self._pages.seen(request, person, lambda visit: report_view(visit, found, _filled(fields), problem))
        return decision

    def _carry_out(self, found: FoundReport, person: Person, decision: Decision) -> None:
        if self._services.review is None:
            raise Unsupported("reports are not signed here")
        self._services.review(found.report.id, person, decision)

    def _check_token(self, request: Request, found: FoundReport, fields: Fields) -> None:
        """A token that was good for the version on the page, but not for what is there now, tells a conflict."""
        cookie, token = request.cookies.get(SESSION_COOKIE, ""), field(fields, "token") or ""
        if self._pages.forms.fits(form_name(found), cookie, token):
            return
        if self._pages.forms.fits(f"report {found.report.id} {field(fields, 'version') or ''}", cookie, token):
            raise Conflict(
                f"The report has changed since you opened its page; its version is {found.report.version} now. "
                "Your decision was not carried out."
            )
        raise Forbidden("This form was not opened in your present session. Please open the report again.")


def _decision(found: FoundReport, fields: Fields) -> Decision:
    """Invalid where the form asks for what is not offered."""
    outcome: Outcome | None = next(
        (each for each in offered(found.report.status) if each == field(fields, "outcome")), None
    )
    if outcome is None:
        raise Invalid("this cannot be decided about the report")
    given = _filled(fields)
    return Decision(
        outcome=outcome,
        version=found.report.version,
        conclusion=_said(outcome, given, found),
        reason=given.reason,
        take_newer=given.take_newer and outcome in ("amend", "correct"),
    )


def _said(outcome: Outcome, given: Filled, found: FoundReport) -> str | None:
    if outcome in ENDS:
        return None
    if outcome == "append":
        return given.addendum
    text = (given.conclusion or "").replace("\r\n", "\n").strip()
    return None if outcome == "accept" and text == found.conclusion.strip() else text


def _filled(fields: Fields) -> Filled:
    return Filled(
        conclusion=field(fields, "conclusion"),
        addendum=field(fields, "addendum") or "",
        reason=(field(fields, "reason") or "").strip(),
        take_newer=field(fields, "take_newer") == "1",
    )
