"""dr-update-by-order: the EHR has made a report with the order, and takes our result as its next version.

The report is found by our own identifier, or else under the order that has the study's accession number; what the EHR
has written there and is not ours to say (order, patient, encounter, its identifiers) stays.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.errors import Invalid, Unsupported
from gateway.formats.fhir import identifier
from gateway.formats.fhir.bundle import search_token
from gateway.formats.fhir.element import Resource
from gateway.outlets.strategies.sending import Sending, etag, local, outgoing

_THEIRS: Final = ("id", "basedOn", "subject", "encounter", "code", "category", "effectiveDateTime", "effectivePeriod")
_OPEN: Final = frozenset({"registered", "partial", "preliminary"})


def dr_update_by_order(sending: Sending) -> str:
    """Unsupported where no open report waits under the order: another strategy may help."""
    known = sending.own("DiagnosticReport", identifier.REPORT, str(sending.rendered.report["id"]))
    known = known or _of_order(sending)
    (patient,) = sending.rendered.of_type("Patient")
    links = {local(patient): _subject(known) or sending.patient()}
    links |= sending.observations(links)
    body = _merged(known, outgoing(sending.rendered.report, links, sending.rendered))
    return sending.connection.update(body, etag(known)).stored_as


def _of_order(sending: Sending) -> Resource:
    number = identifier.accession(sending.document.identity.accession_number)
    if number is None or not sending.searches("ServiceRequest", "identifier"):
        raise Unsupported("no order can be found by which the EHR would know the report")
    orders = sending.search("ServiceRequest", f"identifier={search_token(None, number['value'])}")
    if len(orders) > 1:
        raise Invalid("the EHR has more than one order with this accession number")
    if not orders or not sending.searches("DiagnosticReport", "based-on"):
        raise Unsupported("the EHR has no order with this accession number")
    found = sending.search("DiagnosticReport", f"based-on=ServiceRequest/{orders[0]['id']}")
    waiting = [each for each in found if each.get("status") in _OPEN]
    if len(waiting) != 1:
        raise Unsupported("not exactly one open report waits under the order")
    return waiting[0]


def _subject(known: Resource) -> str | None:
    subject = known.get("subject")
    target = subject.get("reference") if isinstance(subject, dict) else None
    return target if isinstance(target, str) else None


def _merged(known: Resource, ours: Resource) -> Resource:
    theirs: Resource = {name: known[name] for name in _THEIRS if name in known}
    names = known.get("identifier", [])
    added = [each for each in ours["identifier"] if each.get("system") == identifier.REPORT and each not in names]
    results = [each for each in ours.get("result", ()) if "reference" in each]
    merged: Resource = {**ours, **theirs, "identifier": [*names, *added], "result": results}
    if not results:
        del merged["result"]
    return merged
