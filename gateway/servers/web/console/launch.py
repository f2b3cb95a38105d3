"""EHR launch: a report that a person has open is opened in an app, which is told whom it is about (SMART 2.2, 2).

The `launch` parameter is the context itself, sealed for that app and for five minutes, and serves once; it lets nobody
in. The app comes to the authorization endpoint with it, in the browser of the same person, or is refused there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.domain.access import Person
from gateway.domain.errors import GatewayError, Invalid, Missing
from gateway.domain.ids import ReportId, new_id
from gateway.flow.authorize_app import ChosenPatient
from gateway.flow.grant_access import digest
from gateway.ports import UnitOfWork
from gateway.servers.web.console.page import Pages, Visit
from gateway.servers.web.console.rights import require
from gateway.servers.web.fhir.page_link import PageLinks
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.request_log import name_request
from gateway.servers.web.services import WebServices

_LIFE: Final = timedelta(minutes=5)
_PATIENTS: Final = 20


@dataclass(frozen=True)
class Launched:
    """Who has launched, about whom, and which report was open; `id` is that of the launch."""

    id: str
    person: str
    patient: ChosenPatient


def launched(services: WebServices, app: str, token: str) -> Launched:
    """Invalid where the token is not ours, is another app's, or is too old."""
    try:
        told, (at,) = _tokens(services, app).open(token)
    except (Refusal, ValueError):
        raise Invalid("this launch is too old; begin again in the console") from None
    if services.clock().timestamp() - float(at) > _LIFE.total_seconds():
        raise Invalid("this launch is too old; begin again in the console")
    known = dict(told)
    return Launched(known["id"], known["person"], ChosenPatient(known["patient"], known["record"], known["report"]))


def use_launch(services: WebServices, launch: Launched) -> bool:
    """Remembers the launch for as long as it could serve; False where it was used before, in whatever process.

    By its id: one sealed text can be written in several ways.
    """
    with services.database.begin("access") as unit:
        fresh = unit.access.use_assertion(digest(f"launch\x00{launch.id}"), services.clock() + _LIFE)
        unit.commit()
    return fresh


def launchable(unit: UnitOfWork) -> list[str]:
    """Names of the apps that can be launched."""
    return [each.name for each in unit.access.clients() if each.kind == "fhir" and each.active and each.launch]


class Launch:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._services = pages, pages.services

    async def go(self, request: Request) -> Response:
        """On to the app, with our address and the sealed context."""
        name_request(request, "console.launch")
        try:
            person = await self._services.threads.work(self._pages.who, request)
            if person is None:
                return RedirectResponse("/console/login", 303)
            name_request(request, "console.launch", f"person:{person.id}")
            return RedirectResponse(await self._services.threads.work(self._address, request, person), 303)
        except GatewayError as error:
            return self._pages.failed(request, error)

    def _address(self, request: Request, person: Person) -> str:
        return self._pages.seen(request, person, self._of_report)

    def _of_report(self, visit: Visit) -> str:
        require(visit.person, "list reports")
        require(visit.person, "see identity")
        app = self._services.access.known_client(visit.path["app"])
        if app is None or not app.launch:
            raise Missing("there is no such app to launch")
        report = visit.unit.reports.get(ReportId(visit.path["report"]))
        patient = _patient(visit.unit, visit.unit.studies.get(report.study_id).patient)
        visit.unit.audit.record("console:view", report.id, visit.actor, page="launch", client=app.name)
        told = (
            ("id", new_id()),
            ("person", visit.person.name),
            ("patient", patient.id),
            ("record", patient.record),
            ("report", report.id),
        )
        token = _tokens(self._services, app.name).seal(told, [self._services.clock().timestamp()])
        query = urlencode({"iss": self._services.fhir_base, "launch": token})
        return f"{app.launch}{'&' if '?' in app.launch else '?'}{query}"


def _tokens(services: WebServices, app: str) -> PageLinks:
    return PageLinks(services.key("launch"), app, "launch", services.clock)


def _patient(unit: UnitOfWork, record: str) -> ChosenPatient:
    """The EHR's own Patient where there is one, as in the report itself (flow/record/file_report.py)."""
    found = [one for one in unit.resources.of_owner(record, _PATIENTS, kind="Patient") if not one.is_deleted]
    if not found:
        raise Missing("the report is not filed yet; try again in a moment")
    chosen = next((one for one in found if not one.ours), found[0])
    return ChosenPatient(chosen.id, record)
