"""sign: POST [base]/DiagnosticReport/[id]/$sign, a physician's decision about a report through an integrator's client.

The client acts for a person, who signed in through it; one that acts for itself signs nothing. If-Match names the
version that was read (R4 3.1.0.5); what follows is the step of the console (flow/review.py).
"""

from __future__ import annotations

from typing import Final

from gateway.domain.access import Caller, Client
from gateway.domain.errors import Forbidden, Unmet, Unsupported
from gateway.domain.ids import ReportId
from gateway.domain.report import Report
from gateway.domain.review import EVENTS, Outcome
from gateway.flow.record.asked import ANY_VERSION
from gateway.flow.review import Decision, require_physician
from gateway.servers.web.fhir.exchange import Answer, FhirRequest, actor_of
from gateway.servers.web.fhir.note_interaction import note_interaction, patients_of
from gateway.servers.web.fhir.parameters import parameters_of
from gateway.servers.web.fhir.resource_body import parsed
from gateway.servers.web.refusal import Refusal
from gateway.servers.web.services import WebServices

KNOWN: Final = {
    "outcome": ("valueCode", "valueString"),
    "conclusion": ("valueString", "valueMarkdown"),
    "reason": ("valueString",),
    "takeNewer": ("valueBoolean",),
}


def sign(services: WebServices, client: Client, request: FhirRequest) -> Answer:
    """200 with status and version; 403 for anybody but a physician, 409 for a move that there is not, 412 for another
    version than the present one."""
    person = client.person if isinstance(client, Caller) else None
    if person is None:
        raise Forbidden("a physician decides about a report: this client acts for no person, see [base]/.well-known")
    require_physician(person)
    if services.review is None:
        raise Unsupported("reports are not signed here")
    given = parameters_of(parsed(request), KNOWN)
    outcome: Outcome | None = next((each for each in EVENTS if each == given.get("outcome")), None)
    if outcome is None:
        raise Refusal(400, "required", f"the parameter outcome is one of {', '.join(EVENTS)}")
    decision = Decision(
        outcome=outcome,
        version=_version(services, request),
        conclusion=given.get("conclusion"),
        reason=given.get("reason", ""),
        take_newer=given.get("takeNewer", False),
    )
    report = services.review(ReportId(request.id), person, decision)
    _note(services, client, report)
    said = [
        {"name": "report", "valueReference": {"reference": f"DiagnosticReport/{report.id}/_history/{report.version}"}},
        {"name": "status", "valueCode": report.status},
    ]
    return Answer(200, {"resourceType": "Parameters", "parameter": said}, {"ETag": f'W/"{report.version}"'})


def _note(services: WebServices, client: Client, report: Report) -> None:
    """Through which client; the decision itself stands in the trail with its transaction, as report:review."""
    with services.database.begin(actor_of(client)) as unit:
        stored = unit.resources.find("DiagnosticReport", report.id)
        patients = patients_of(services, [stored] if stored is not None else [])
        note_interaction(
            unit,
            client,
            "operation",
            "DiagnosticReport",
            report.id,
            version=report.version,
            patients=patients,
            operation="sign",
        )
        unit.commit()


def _version(services: WebServices, request: FhirRequest) -> int:
    """The version that was read. It is asked for: nobody signs what he has not seen."""
    wanted = request.if_match
    if wanted is None or len(wanted) > 1 or ANY_VERSION in wanted:
        raise Refusal(400, "required", 'If-Match names the one version that was read: W/"[version]"')
    with services.database.read() as unit:
        current = unit.reports.get(ReportId(request.id)).version
    if str(current) not in wanted:
        raise Unmet("the report has another version than the one that was read")
    return current
