"""sign: POST [base]/DiagnosticReport/[id]/$sign, a physician's decision about a report through an integrator's client.

The client acts for a person: the access layer says who it is. If-Match names the version that was read (R4 3.1.0.5);
what follows is the step of the console (flow/review.py).
"""

from __future__ import annotations

from typing import Final

from gateway.domain.access import Person
from gateway.domain.errors import Unsupported
from gateway.domain.ids import ReportId
from gateway.domain.review import EVENTS, Outcome
from gateway.flow.review import Decision, require_physician
from gateway.formats.fhir.element import Resource
from gateway.servers.web.fhir.exchange import Answer
from gateway.servers.web.fhir.parameters import parameters_of
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

KNOWN: Final = {
    "outcome": ("valueCode", "valueString"),
    "conclusion": ("valueString", "valueMarkdown"),
    "reason": ("valueString",),
    "takeNewer": ("valueBoolean",),
}
OUTCOME_OF_STATUS: Final[dict[str, Outcome]] = {
    "final": "accept",
    "amended": "amend",
    "corrected": "correct",
    "appended": "append",
    "cancelled": "reject",
    "entered-in-error": "retract",
}
"""What a PUT of a DiagnosticReport with this status, by a physician, would ask for."""


def sign(services: WebServices, person: Person, report_id: str, asked: Resource, if_match: str | None) -> Answer:
    """200 with status and version; 403 for anybody but a physician, 409 for a move that there is not, 412 for another
    version than the present one."""
    require_physician(person)
    if services.review is None:
        raise Unsupported("reports are not signed here")
    given = parameters_of(asked, KNOWN)
    outcome: Outcome | None = next((each for each in EVENTS if each == given.get("outcome")), None)
    if outcome is None:
        raise Refusal(400, "required", f"the parameter outcome is one of {', '.join(EVENTS)}")
    decision = Decision(
        outcome=outcome,
        version=_version(services, report_id, if_match),
        conclusion=given.get("conclusion"),
        reason=given.get("reason", ""),
        take_newer=given.get("takeNewer", False),
    )
    report = services.review(ReportId(report_id), person, decision)
    said = [
        {"name": "report", "valueReference": {"reference": f"DiagnosticReport/{report.id}/_history/{report.version}"}},
        {"name": "status", "valueCode": report.status},
    ]
    return Answer(200, {"resourceType": "Parameters", "parameter": said}, {"ETag": f'W/"{report.version}"'})


def _version(services: WebServices, report_id: str, if_match: str | None) -> int:
    """The version that was read. It is asked for: nobody signs what he has not seen."""
    if not if_match:
        raise Refusal(400, "required", 'If-Match names the version that was read: W/"[version]"')
    with services.database.read() as unit:
        current = unit.reports.get(ReportId(report_id)).version
    if if_match.strip().removeprefix("W/").strip('"') != str(current):
        raise Refusal(412, "conflict", "the report has another version than the one that was read")
    return current
