"""dr-create: the report as a DiagnosticReport of its own, for an EHR without transactions.

Patient, then Observations as far as they are taken, then the report; a later version updates it.
"""

from __future__ import annotations

from gateway.domain.errors import Unsupported
from gateway.formats.fhir import identifier
from gateway.outlets.strategies.sending import Sending, etag, local, outgoing


def dr_create(sending: Sending) -> str:
    """Unsupported where an earlier version is there and the EHR lets nobody update it."""
    report = sending.rendered.report
    known = sending.own("DiagnosticReport", identifier.REPORT, str(report["id"]))
    if known is not None and not sending.can("DiagnosticReport", "update"):
        raise Unsupported("the EHR has an earlier version of the report and lets nobody update it")
    (patient,) = sending.rendered.of_type("Patient")
    links = {local(patient): sending.patient()}
    links |= sending.observations(links)
    body = outgoing(report, links, sending.rendered)
    body["result"] = [each for each in body.get("result", ()) if "reference" in each]
    if not body["result"]:
        del body["result"]  # the presented form and the conclusion carry what the EHR does not take as Observation
    if known is None:
        return sending.connection.create(body).stored_as
    return sending.connection.update({**body, "id": known["id"]}, etag(known)).stored_as
