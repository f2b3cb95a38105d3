"""docref-pdf: the report as a document, for an EHR that takes documents and no reports of ours.

The shape is US Core DocumentReference. The PDF says in a frame how far it may be relied on; Observations go along as
far as the EHR takes them. A later version updates the document, or, where nothing can be updated, is a new one that
replaces the former.
"""

from __future__ import annotations

from typing import Final

from gateway.domain.errors import Unsupported
from gateway.formats.fhir import coding as codes
from gateway.formats.fhir import identifier
from gateway.formats.fhir.diagnostic_report import issued_at
from gateway.formats.fhir.element import Resource, element, instant
from gateway.formats.fhir.practitioner import interpreters
from gateway.formats.fhir.text import line
from gateway.outlets.strategies.sending import Sending, etag, local

_DOC_STATUS: Final = {
    "preliminary": "preliminary",
    "final": "final",
    "amended": "amended",
    "corrected": "amended",
    "appended": "amended",
}
_WITHDRAWN: Final = frozenset({"cancelled", "entered-in-error"})


def docref_pdf(sending: Sending) -> str:
    status = str(sending.rendered.report["status"])
    known = sending.own("DocumentReference", identifier.REPORT, str(sending.rendered.report["id"]))
    if status in _WITHDRAWN and known is None:
        return "nothing was sent: the report was withdrawn before the EHR had it"
    (patient,) = sending.rendered.of_type("Patient")
    links = {local(patient): sending.patient()}
    observations = sending.observations(links)
    body = _document(sending, status, links[local(patient)], list(observations.values()))
    if known is None:
        return sending.connection.create(body).stored_as
    if sending.can("DocumentReference", "update"):
        return sending.connection.update({**body, "id": known["id"]}, etag(known)).stored_as
    former = {"code": "replaces", "target": {"reference": f"DocumentReference/{known['id']}"}}
    return sending.connection.create({**body, "relatesTo": [former]}).stored_as


def _document(sending: Sending, status: str, patient: str, related: list[str]) -> Resource:
    document, report = sending.document, sending.rendered.report
    pdf = next((form for form in report.get("presentedForm", ()) if form["contentType"] == "application/pdf"), None)
    if pdf is None:
        raise Unsupported("this version has no printed form")
    order = identifier.accession(document.identity.accession_number)
    names = [{"system": identifier.REPORT, "value": str(report["id"])}, order]
    signer = next(iter(interpreters(document)), None)
    performer = report["performer"][0]
    return element(
        resourceType="DocumentReference",
        meta={"source": report["meta"]["source"], "security": report["meta"].get("security", [])},
        identifier=[each for each in names if each],
        status="entered-in-error" if status in _WITHDRAWN else "current",
        docStatus=_DOC_STATUS.get(status),
        type=codes.concept(codes.LOINC, "18748-4", "Diagnostic imaging study"),
        category=[
            codes.concept(
                "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "clinical-note",
                "Clinical Note",
            )
        ],
        subject={"reference": patient},
        date=instant(issued_at(document)),
        author=[{"display": line(signer.name) if signer else performer.get("display", "dxgate")}],
        description=line(f"AI analysis of an imaging study, version {document.version.version}, {status}"),
        content=[{"attachment": pdf}],
        context=element(related=[{"reference": each} for each in related]) or None,
    )
