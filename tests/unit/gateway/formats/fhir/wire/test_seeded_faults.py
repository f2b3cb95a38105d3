"""A judge of the judge: each of these faults is planted into a good resource and must be found at its element."""

from __future__ import annotations

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from harness.fhir_examples import examples

from gateway.formats.fhir.wire.check import check, checked
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import parse_json

SECRET = "Quillfeather"
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
SCT = "http://snomed.info/sct"

OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-02-29T08:15:30Z",
    "valueQuantity": {"value": Decimal("72.50"), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    "component": [
        {"code": {"text": "first"}, "valueInteger": 1},
        {"code": {"coding": [{"system": SCT, "code": "1"}]}, "valueString": "x"},
    ],
    "referenceRange": [{"low": {"value": 1}}],
}
REPORT = {
    "resourceType": "DiagnosticReport",
    "contained": [{"resourceType": "Observation", "id": "c1", "status": "final", "code": {"text": "x"}}],
    "text": {"status": "generated", "div": XHTML.format("<p>said</p>")},
    "status": "preliminary",
    "code": {"text": "x"},
    "subject": {"reference": "Patient/p1"},
    "effectivePeriod": {"start": "2024-01-01", "end": "2024-01-02"},
    "result": [{"reference": "#c1"}],
    "presentedForm": [{"contentType": "text/plain", "data": "YWJj", "size": 3}],
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "extension": [{"url": "http://example.org/x", "valueString": "y"}],
    "name": [{"given": ["A", None], "_given": [None, {"extension": [{"url": "http://e.org", "valueCode": "z"}]}]}],
    "birthDate": "1970-03-31",
    "telecom": [{"system": "phone", "value": "1"}],
    "contact": [{"name": {"text": "B"}}],
    "managingOrganization": {"reference": "http://example.org/fhir/Organization/1"},
}
CONDITION = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "subject": {"reference": "Patient/p1"},
}
TRANSACTION = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a",
            "resource": OBSERVATION,
            "request": {"method": "POST", "url": "Observation"},
        },
        {"request": {"method": "DELETE", "url": "Patient/1"}},
    ],
}
SEARCHSET = {
    "resourceType": "Bundle",
    "type": "searchset",
    "total": 1,
    "entry": [{"fullUrl": "http://e.org/Patient/p1", "resource": PATIENT, "search": {"mode": "match"}}],
}
MESSAGE = {
    "resourceType": "Bundle",
    "type": "message",
    "entry": [
        {
            "resource": {
                "resourceType": "MessageHeader",
                "eventUri": "http://e.org/admit",
                "source": {"endpoint": "http://e.org/in"},
            }
        },
        {"fullUrl": "http://e.org/Patient/p1", "resource": PATIENT},
    ],
}
APPOINTMENT = {
    "resourceType": "Appointment",
    "status": "booked",
    "start": "2026-12-01T09:00:00Z",
    "end": "2026-12-01T09:30:00Z",
    "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
}
QUESTIONNAIRE = {
    "resourceType": "Questionnaire",
    "status": "draft",
    "item": [{"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string"}]}],
}
GOOD = {
    "observation": OBSERVATION,
    "report": REPORT,
    "patient": PATIENT,
    "condition": CONDITION,
    "transaction": TRANSACTION,
    "searchset": SEARCHSET,
    "message": MESSAGE,
    "appointment": APPOINTMENT,
    "questionnaire": QUESTIONNAIRE,
}
Edit = Callable[[dict[str, Any]], object]


def put(path: str, value: Any) -> Edit:
    """Sets the member at a dotted path, numbers being places in lists."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]

    def edit(resource: Any) -> None:
        for step in steps:
            resource = resource[step]
        resource[last] = value

    return edit


def cut(path: str) -> Edit:
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]

    def edit(resource: Any) -> None:
        for step in steps:
            resource = resource[step]
        del resource[last]

    return edit


def narrative(inner: str) -> Edit:
    return put("text.div", XHTML.format(inner))


FAULTS: dict[str, tuple[dict[str, Any], Edit, str]] = {
    "unknown type": (OBSERVATION, put("resourceType", "Observatio"), "Observatio.resourceType"),
    "type of R4B": (OBSERVATION, put("resourceType", "SubscriptionTopic"), "SubscriptionTopic.resourceType"),
    "no type": (OBSERVATION, cut("resourceType"), ""),
    "unknown element": (OBSERVATION, put("colour", SECRET), "Observation.colour"),
    "unknown element inside": (OBSERVATION, put("component.1.colour", SECRET), "Observation.component[1].colour"),
    "status missing": (OBSERVATION, cut("status"), "Observation.status"),
    "status unknown": (OBSERVATION, put("status", SECRET), "Observation.status"),
    "status of the wrong JSON type": (OBSERVATION, put("status", 1), "Observation.status"),
    "status null": (OBSERVATION, put("status", None), "Observation.status"),
    "code missing": (OBSERVATION, cut("code"), "Observation.code"),
    "list for an object": (OBSERVATION, put("code", [{"text": "x"}]), "Observation.code"),
    "object for a list": (OBSERVATION, put("component", {"code": {"text": "x"}}), "Observation.component"),
    "text for an object": (OBSERVATION, put("subject", "Patient/p1"), "Observation.subject"),
    "empty list": (OBSERVATION, put("component", []), "Observation.component"),
    "empty object": (OBSERVATION, put("subject", {}), "Observation.subject"),
    "object with an id alone": (OBSERVATION, put("subject", {"id": "x"}), "Observation.subject"),
    "null in a list": (OBSERVATION, put("component.1", None), "Observation.component[1]"),
    "null in a list of names": (PATIENT, cut("name.0._given"), "Patient.name[0].given[1]"),
    "empty text": (OBSERVATION, put("component.0.code.text", ""), "Observation.component[0].code.text"),
    "control character": (OBSERVATION, put("component.0.code.text", "a\x07b"), "Observation.component[0].code.text"),
    "id too long": (OBSERVATION, put("id", "x" * 65), "Observation.id"),
    "id with a space": (OBSERVATION, put("id", "a b"), "Observation.id"),
    "two values": (OBSERVATION, put("valueString", "x"), "Observation.valueString"),
    "number as text": (OBSERVATION, put("valueQuantity.value", "72.5"), "Observation.valueQuantity.value"),
    "integer with decimals": (OBSERVATION, put("component.0.valueInteger", Decimal("1.5")), "Observation.component[0].valueInteger"),
    "integer beyond 32 bits": (OBSERVATION, put("component.0.valueInteger", 2**31), "Observation.component[0].valueInteger"),
    "boolean for an integer": (OBSERVATION, put("component.0.valueInteger", True), "Observation.component[0].valueInteger"),
    "type that value[x] lacks": (OBSERVATION, put("component.0", {"code": {"text": "a"}, "valueDate": "2024"}), "Observation.component[0].valueDate"),
    "no such month": (OBSERVATION, put("effectiveDateTime", "2024-13-01"), "Observation.effectiveDateTime"),
    "no such day": (OBSERVATION, put("effectiveDateTime", "2023-02-29T08:15:30Z"), "Observation.effectiveDateTime"),
    "no such birthday": (PATIENT, put("birthDate", "1970-04-31"), "Patient.birthDate"),
    "time without a zone": (OBSERVATION, put("effectiveDateTime", "2024-02-29T08:15:30"), "Observation.effectiveDateTime"),
    "date in words": (OBSERVATION, put("effectiveDateTime", SECRET), "Observation.effectiveDateTime"),
    "reference to a wrong type": (OBSERVATION, put("subject.reference", "Practitioner/1"), "Observation.subject.reference"),
    "reference that only R4B allows": (OBSERVATION, put("subject.reference", "Organization/1"), "Observation.subject.reference"),
    "reference to an unknown type": (OBSERVATION, put("subject.reference", "Patent/1"), "Observation.subject.reference"),
    "reference that is no address": (OBSERVATION, put("subject.reference", "the patient"), "Observation.subject.reference"),
    "reference by search outside a transaction": (OBSERVATION, put("subject.reference", "Patient?a=b"), "Observation.subject.reference"),
    "absolute reference to a wrong type": (PATIENT, put("managingOrganization.reference", "http://e.org/fhir/Patient/1"), "Patient.managingOrganization.reference"),
    "type that contradicts the reference": (OBSERVATION, put("subject.type", "Group"), "Observation.subject.reference"),
    "performer is a device": (OBSERVATION, put("performer", [{"reference": "Device/1"}]), "Observation.performer[0].reference"),
    "dangling fragment": (REPORT, put("result.0.reference", "#c2"), "DiagnosticReport.result[0].reference"),
    "contained but unused": (REPORT, put("result.0.reference", "Observation/1"), "DiagnosticReport.contained[0]"),
    "contained without id": (REPORT, cut("contained.0.id"), "DiagnosticReport.contained[0].id"),
    "contained in contained": (REPORT, put("contained.0.contained", [PATIENT]), "DiagnosticReport.contained[0].contained"),
    "contained with a version": (REPORT, put("contained.0.meta", {"versionId": "1"}), "DiagnosticReport.contained[0].meta"),
    "fault inside contained": (REPORT, put("contained.0.status", SECRET), "DiagnosticReport.contained[0].status"),
    "script": (REPORT, narrative("<script>alert(1)</script>"), "DiagnosticReport.text.div"),
    "handler": (REPORT, narrative('<p onclick="x()">a</p>'), "DiagnosticReport.text.div"),
    "frame": (REPORT, narrative('<iframe src="http://e.org"/>'), "DiagnosticReport.text.div"),
    "form": (REPORT, narrative("<form><input/></form>"), "DiagnosticReport.text.div"),
    "link that runs": (REPORT, narrative('<a href="java&#x0A;script:x()">a</a>'), "DiagnosticReport.text.div"),
    "picture from elsewhere": (REPORT, narrative('<img src="//e.org/x.png"/>'), "DiagnosticReport.text.div"),
    "drawing as picture": (REPORT, narrative('<img src="data:image/svg+xml;base64,AA=="/>'), "DiagnosticReport.text.div"),
    "style that fetches": (REPORT, narrative('<p style="background:url(http://e.org)">a</p>'), "DiagnosticReport.text.div"),
    "narrative of nothing": (REPORT, narrative("<p> </p>"), "DiagnosticReport.text.div"),
    "narrative not well-formed": (REPORT, narrative("<p>a"), "DiagnosticReport.text.div"),
    "narrative that is no div": (REPORT, put("text.div", "<p>a</p>"), "DiagnosticReport.text.div"),
    "narrative with entities": (
        REPORT,
        put("text.div", '<!DOCTYPE d [<!ENTITY a "b">]>' + XHTML.format("&a;")),
        "DiagnosticReport.text.div",
    ),
    "no base64": (REPORT, put("presentedForm.0.data", "YWJ"), "DiagnosticReport.presentedForm[0].data"),
    "negative size": (REPORT, put("presentedForm.0.size", -1), "DiagnosticReport.presentedForm[0].size"),
    "data without type": (REPORT, cut("presentedForm.0.contentType"), "DiagnosticReport.presentedForm[0].contentType"),
    "end before start": (REPORT, put("effectivePeriod.end", "2023-12-31"), "DiagnosticReport.effectivePeriod.end"),
    "value and its absence": (OBSERVATION, put("dataAbsentReason", {"text": "x"}), "Observation.dataAbsentReason"),
    "component with the code of the whole": (OBSERVATION, put("component.0.code", OBSERVATION["code"]), "Observation.component[0].code"),
    "range of nothing": (OBSERVATION, put("referenceRange.0", {"type": {"text": "x"}}), "Observation.referenceRange[0]"),
    "unit code without system": (OBSERVATION, cut("valueQuantity.system"), "Observation.valueQuantity.system"),
    "extension with nothing": (PATIENT, cut("extension.0.valueString"), "Patient.extension[0]"),
    "extension with value and extensions": (PATIENT, put("extension.0.extension", [{"url": "a", "valueCode": "b"}]), "Patient.extension[0]"),
    "extension without url": (PATIENT, cut("extension.0.url"), "Patient.extension[0].url"),
    "extension type that only R4B has": (PATIENT, put("extension.0", {"url": "a", "valueRatioRange": {}}), "Patient.extension[0].valueRatioRange"),
    "telecom without system": (PATIENT, cut("telecom.0.system"), "Patient.telecom[0].system"),
    "contact of nobody": (PATIENT, put("contact.0", {"gender": "male"}), "Patient.contact[0]"),
    "extension of an unknown primitive": (PATIENT, put("_birthdate", {"id": "a"}), "Patient._birthdate"),
    "required value set": (CONDITION, put("clinicalStatus.coding.0.code", "ill"), "Condition.clinicalStatus.coding[0].code"),
    "required value set without a code": (CONDITION, put("clinicalStatus", {"text": "active"}), "Condition.clinicalStatus"),
    "active though abated": (CONDITION, put("abatementString", "gone"), "Condition.clinicalStatus"),
    "bundle type missing": (TRANSACTION, cut("type"), "Bundle.type"),
    "total of a transaction": (TRANSACTION, put("total", 2), "Bundle.total"),
    "search mode in a transaction": (TRANSACTION, put("entry.0.search", {"mode": "match"}), "Bundle.entry[0].search"),
    "transaction entry without request": (TRANSACTION, cut("entry.0.request"), "Bundle.entry[0].request"),
    "response in a transaction": (TRANSACTION, put("entry.0.response", {"status": "200"}), "Bundle.entry[0].response"),
    "method unknown": (TRANSACTION, put("entry.0.request.method", "FETCH"), "Bundle.entry[0].request.method"),
    "the same fullUrl twice": (TRANSACTION, put("entry.1.fullUrl", "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"), "Bundle.entry[1].fullUrl"),
    "fault in an entry": (TRANSACTION, put("entry.0.resource", {"resourceType": "Observation", "status": "final"}), "Bundle.entry[0].resource.code"),
    "request in a searchset": (SEARCHSET, put("entry.0.request", {"method": "GET", "url": "x"}), "Bundle.entry[0].request"),
    "fullUrl of a version": (SEARCHSET, put("entry.0.fullUrl", "http://e.org/Patient/1/_history/1"), "Bundle.entry[0].fullUrl"),
    "entry of nothing": (SEARCHSET, put("entry.0", {"fullUrl": "http://e.org/Patient/1"}), "Bundle.entry[0]"),
    "message without header": (MESSAGE, put("entry.0.resource", PATIENT), "Bundle.entry"),
    "message without event": (MESSAGE, cut("entry.0.resource.eventUri"), "Bundle.entry[0].resource.event"),
    "appointment without end": (APPOINTMENT, cut("end"), "Appointment.end"),
    "appointment of nobody": (APPOINTMENT, cut("participant.0.actor"), "Appointment.participant[0]"),
    "cancelled for a reason but booked": (APPOINTMENT, put("cancelationReason", {"text": "x"}), "Appointment.cancelationReason"),
    "a linkId twice": (QUESTIONNAIRE, put("item.0.item.0.linkId", "1"), "Questionnaire.item[0].item[0].linkId"),
    "group without items": (QUESTIONNAIRE, cut("item.0.item"), "Questionnaire.item[0].item"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GOOD))
def test_the_resources_are_good_before_a_fault_is_planted(name: str) -> None:
    """Otherwise the tests below would prove nothing."""
    assert check(GOOD[name]) == []


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_planted_fault_is_found_at_its_element(fault: str) -> None:
    """Every fault is refused, the first finding names its element, and no text echoes the value."""
    good, edit, expression = FAULTS[fault]
    bad = copy.deepcopy(good)
    edit(bad)
    with pytest.raises(InvalidResource) as caught:
        checked(bad)
    assert expression in [issue.expression for issue in caught.value.issues]
    assert all(SECRET not in issue.text + issue.expression for issue in caught.value.issues)


def test_a_reference_by_search_is_allowed_in_a_transaction() -> None:
    """R4 3.1.0.11.3: conditional references."""
    bundle = copy.deepcopy(TRANSACTION)
    put("entry.0.resource.subject.reference", "Patient?identifier=a|b")(bundle)
    assert check(bundle) == []


def test_the_type_is_held_against_the_address() -> None:
    """What is posted to one type and is of another is refused."""
    found = check(PATIENT, kind="Observation")
    assert [(issue.expression, issue.code) for issue in found] == [("Patient.resourceType", "invalid")]


def test_a_number_kept_as_written_is_a_number() -> None:
    """1.20E2 is valid where a decimal is, also beside a fault elsewhere, which alone is found."""
    body = examples()["Observation-decimal"]
    resource = parse_json(body)
    assert check(resource) == []
    resource["status"] = SECRET
    assert [issue.expression for issue in check(resource)] == ["Observation.status"]


def test_findings_are_bounded() -> None:
    """A resource with thousands of faults gives a hundred findings, not thousands."""
    assert len(check({**PATIENT, "name": [{"given": [""]}] * 5000})) == 100
