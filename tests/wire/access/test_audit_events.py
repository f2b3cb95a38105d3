"""The audit trail as AuditEvents: what a security officer reads of every interaction, and that nobody writes one."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from wire.access.place import Place
from wire.fhir_rest.hospital import PLANTED, SECRET

from gateway.domain.audit import AUDIT_EVENTS, AuditEntry, AuditRow
from gateway.formats.fhir.audit_event import audit_event
from gateway.formats.fhir.audit_search import SERVED

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"


@pytest.fixture(scope="module")
def officer(place: Place) -> Iterator[httpx.Client]:
    """May read the trail and nothing else."""
    place.add("officer", "system/AuditEvent.rs", secret=SECRET)
    place.add("reader", "system/*.rs", secret=SECRET)
    with place.http(auth=("officer", SECRET)) as http:
        yield http


@pytest.fixture(scope="module")
def reader(place: Place, officer: httpx.Client) -> Iterator[httpx.Client]:
    """An EHR that reads everything but the trail."""
    with place.http(auth=("reader", SECRET)) as http:
        yield http


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", []) if entry["search"]["mode"] == "match"]


def test_a_read_is_told_in_the_words_of_balp(place: Place, officer: httpx.Client, reader: httpx.Client) -> None:
    """A read by an EHR: who, from where, what, about whom, under which request number, and how it ended."""
    answer = reader.get(f"/fhir/DiagnosticReport/{place.report}")
    found = events(officer.get(f"/fhir/AuditEvent?entity=DiagnosticReport/{place.report}&agent-name=reader"))[0]
    assert found["meta"]["profile"] == [f"{BALP}.PatientRead"]
    assert (found["type"]["code"], found["subtype"][0]["code"], found["action"]) == ("rest", "read", "R")
    assert found["outcome"] == "0"
    client, server = found["agent"]
    assert client["type"]["coding"][0]["code"] == "110152"
    assert client["who"]["identifier"]["value"] == "reader"
    assert client["network"] == {"address": "127.0.0.1", "type": "2"}
    assert server["type"]["coding"][0]["code"] == "110153"
    assert server["network"]["address"] == place.fhir
    request, data, patient = found["entity"]
    assert request["what"]["identifier"]["value"] == answer.headers["x-request-id"]
    assert data["what"]["reference"] == f"DiagnosticReport/{place.report}"
    subject = answer.json()["subject"]["reference"].partition("/")[2]
    assert patient["what"]["identifier"] == {"system": "urn:dxgate:patient", "value": subject}


def test_a_search_names_parameters_without_values(place: Place, officer: httpx.Client, reader: httpx.Client) -> None:
    """The query of a search stands there by parameter, and what was asked for nowhere in the trail."""
    reader.get("/fhir/DiagnosticReport", params={"patient.identifier": PLANTED[0].patient_id, "_count": "5"})
    found = events(officer.get("/fhir/AuditEvent?subtype=search&agent-name=reader"))[0]
    assert found["meta"]["profile"] == [f"{BALP}.PatientQuery"]
    query = next(each for each in found["entity"] if "query" in each)
    assert base64.b64decode(query["query"]) == b"DiagnosticReport?_count=&patient.identifier="
    assert PLANTED[0].patient_id not in officer.get("/fhir/AuditEvent?_count=100").text


@pytest.mark.parametrize(
    ("request_line", "outcome", "subtype"),
    [
        ("GET Patient/no-such-patient", "4", "read"),
        ("GET DiagnosticReport?no-such-parameter=1", "4", "search"),
        ("GET AuditEvent", "4", "search"),
    ],
)
def test_what_is_refused_has_its_row(
    officer: httpx.Client, reader: httpx.Client, request_line: str, outcome: str, subtype: str
) -> None:
    """A request that is missing, invalid or forbidden is found by its outcome, with client and request number."""
    method, path = request_line.split()
    refused = reader.request(method, f"/fhir/{path}")
    assert refused.status_code in (400, 403, 404)
    number = refused.headers["x-request-id"]
    found = events(officer.get(f"/fhir/AuditEvent?outcome={outcome}&agent-name=reader&subtype={subtype}"))[0]
    assert found["entity"][0]["what"]["identifier"]["value"] == number


def test_what_a_client_makes_up_is_not_kept(place: Place, officer: httpx.Client, reader: httpx.Client) -> None:
    """A patient's number in place of an id, of anything, stands nowhere in the trail."""
    number = "MRN-4711"
    for path in (f"Patient/{number}", f"Patient/{number}/_history/1", f"DiagnosticReport?patient={number}"):
        reader.get(f"/fhir/{path}")
    officer.get(f"/fhir/AuditEvent/{number}")
    officer.get(f"/fhir/AuditEvent?patient={number}")
    officer.get(f"/fhir/AuditEvent?entity=Patient/{number}")
    with place.hospital.database.read() as unit:
        assert not [row for row in unit.audit.newest(limit=1000) if number in str(row.entry)]


def test_everything_works_for_all_but_the_trail(place: Place, reader: httpx.Client) -> None:
    """A client of system/*.rs may not read the trail: that needs a scope which names AuditEvent."""
    for path in ("AuditEvent", "AuditEvent/1"):
        refused = reader.get(f"/fhir/{path}")
        assert refused.status_code == 403
        assert "system/AuditEvent" in refused.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_an_audit_event(place: Place, officer: httpx.Client, method: str) -> None:
    """Create, update, patch and delete are 405, whatever the scopes."""
    path = "/fhir/AuditEvent" if method == "POST" else "/fhir/AuditEvent/1"
    refused = officer.request(method, path)
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]
    assert "POST" not in refused.headers["allow"]
    assert refused.json()["resourceType"] == "OperationOutcome"


def test_read_by_number(place: Place, officer: httpx.Client) -> None:
    """Each row has its number as id, its chain code beside it, and is a valid AuditEvent; others are 404."""
    first = officer.get("/fhir/AuditEvent/1").json()
    AuditEvent.model_validate(first)
    with place.hospital.database.read() as unit:
        row = next(iter(unit.audit.rows(limit=1)))
    assert first["extension"][0]["valueString"] == row.code.hex()
    for own_id in ("0", "999999999", "x"):
        assert officer.get(f"/fhir/AuditEvent/{own_id}").status_code == 404


def test_search_by_patient(place: Place, officer: httpx.Client, reader: httpx.Client) -> None:
    """Everything that was done in a patient's record, by pseudonym and by the hospital's own number."""
    subject = reader.get(f"/fhir/DiagnosticReport/{place.report}").json()["subject"]["reference"]
    by_id = events(officer.get("/fhir/AuditEvent", params={"patient": subject, "_count": "100"}))
    mine = {"patient.identifier": f"|{PLANTED[0].patient_id}", "_count": "100"}
    assert {each["subtype"][-1]["code"] for each in by_id} >= {"fhir:read", "identity:open", "identity:create"}
    by_number = events(officer.get("/fhir/AuditEvent", params=mine | {"patient.identifier": PLANTED[0].patient_id}))
    assert {each["id"] for each in by_number} >= {each["id"] for each in by_id}
    assert events(officer.get("/fhir/AuditEvent?patient=nobody")) == []


VALUES = {
    "_id": "1",
    "date": "ge2020",
    "_lastUpdated": "ge2020",
    "outcome": "0",
    "entity": "Patient/x",
    "agent:identifier": "urn:dxgate:client|reader",
    "agent-name": "reader",
    "agent-name:exact": "reader",
}
NARROWED = {"_id": 1, "entity": 0, "patient": 0, "patient:identifier": 0, "patient.identifier": 0}
NARROWED |= {"type": 0, "subtype": 0, "action": 0}
FORMS = [f"{code}:{form}".rstrip(":") for code, each in SERVED.items() for form in each.modifiers if form != "not"]


@pytest.mark.parametrize("name", [*FORMS, "patient.identifier"])
def test_each_declared_parameter_is_served(officer: httpx.Client, reader: httpx.Client, name: str) -> None:
    """Every parameter of the CapabilityStatement narrows the search, by each of its names."""
    reader.get("/fhir/Device")
    found = officer.get("/fhir/AuditEvent", params={name: VALUES.get(name, "no-such-thing"), "_summary": "count"})
    assert found.status_code == 200
    everything = officer.get("/fhir/AuditEvent?_summary=count").json()["total"]
    assert found.json()["total"] == NARROWED[name] if name in NARROWED else 0 < found.json()["total"] <= everything


def test_search_by_kind_and_time(place: Place, officer: httpx.Client) -> None:
    """Type, subtype, action and date narrow down; what cannot be is empty, and rubbish is refused."""
    logins = events(officer.get("/fhir/AuditEvent?type=http://dicom.nema.org/resources/ontology/DCM|110114"))
    assert {each["subtype"][0]["code"] for each in logins} <= {"110122", "110123", "110126"}
    assert logins
    received = events(officer.get("/fhir/AuditEvent?subtype=urn:dxgate:audit-event|instance:receive"))
    assert {each["action"] for each in received} == {"C"}
    today = received[0]["recorded"][:10]
    assert events(officer.get(f"/fhir/AuditEvent?date={today}&action=C")) != []
    assert events(officer.get(f"/fhir/AuditEvent?date=lt{today}")) == []
    assert events(officer.get(f"/fhir/AuditEvent?action=C&action=R&date=ge{today}")) == []
    total = officer.get("/fhir/AuditEvent?action=C&_total=accurate&_count=1").json()["total"]
    others = officer.get("/fhir/AuditEvent?action:not=C&_summary=count").json()["total"]
    assert total > 0
    assert officer.get("/fhir/AuditEvent?_summary=count").json()["total"] - total - others in (0, 1, 2)  # this is read


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("date=tomorrow", "date"),
        ("date=2026,2027", "one date"),
        ("date=ne2026", "prefix"),
        ("entity=Patient/!", "entity"),
        ("unknown=1", "no search parameter unknown"),
        ("policy=x", "not searched by that"),
        ("type:in=x", "value sets"),
        ("outcome:missing=true", "outcome in this form"),
        ("agent-name:contains=read", "contains"),
        ("agent-name=re", ":exact"),
        ("agent=Device/1", "agent:identifier"),
        ("patient.family=Winter", "patient.identifier"),
        ("_has:Provenance:target:agent=x", "not searched by that"),
        ("_include=AuditEvent:patient", "outside of the store"),
        ("_sort=date", "newest first"),
        ("_sort=-date,action", "not sorted by action"),
        ("_count=x", "_count"),
        ("_page=x", "page link"),
    ],
)
def test_what_the_trail_is_not_searched_by_is_told(officer: httpx.Client, asked: str, word: str) -> None:
    """What its rows do not tell is refused with the parameter's name, as in every search."""
    answer = officer.get(f"/fhir/AuditEvent?{asked}")
    assert answer.status_code == 400, answer.text
    (told,) = answer.json()["issue"]
    assert word in told["diagnostics"]
    if "page" not in word:
        assert told["expression"][0].startswith("http.")


def test_a_lenient_search_says_what_it_left_out(officer: httpx.Client) -> None:
    """Prefer: handling=lenient drops what is not served with a warning, also in parts and in order."""
    asked = "/fhir/AuditEvent?policy=x&_sort=-date&_elements=action&_count=3"
    answer = officer.get(asked, headers={"Prefer": "handling=lenient"})
    shown = events(answer)
    assert len(shown) == 3
    assert all("action" in each and "source" in each and "entity" not in each for each in shown)
    assert shown[0]["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert [int(each["id"]) for each in shown] == sorted((int(each["id"]) for each in shown), reverse=True)
    (outcome,) = [each["resource"] for each in answer.json()["entry"] if each["search"]["mode"] == "outcome"]
    assert outcome["issue"][0]["expression"] == ["http.policy"]


def test_the_trail_is_no_part_of_other_searches(reader: httpx.Client) -> None:
    """Neither chained, nor by _has, nor included: those who may not read it learn nothing of it."""
    for asked in ("Patient?_has:AuditEvent:patient:action=R", "Patient?_revinclude=AuditEvent:patient"):
        assert reader.get(f"/fhir/{asked}").status_code == 400


def test_pages_meet_each_row_once(place: Place, officer: httpx.Client) -> None:
    """Following the links gives every row of the past once, newest first, while new rows come in."""
    total = officer.get("/fhir/AuditEvent?_summary=count").json()["total"]
    seen: list[int] = []
    url = "/fhir/AuditEvent?_count=17"
    while url:
        page = officer.get(url)
        seen += [int(each["id"]) for each in events(page)]
        links = {each["relation"]: each["url"] for each in page.json()["link"]}
        url = links.get("next", "")
    assert seen == sorted(seen, reverse=True)
    assert set(range(1, total + 1)) <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("event", sorted(AUDIT_EVENTS))
def test_every_event_is_a_valid_audit_event(place: Place, event: str) -> None:
    """Whatever stands in the trail can be shown: every event of the vocabulary, with and without details."""
    details = {"client": "ehr", "address": "10.0.0.1", "type": "Patient", "patients": ["p"], "parameters": ["a"]}
    for told in ({}, details, {"outcome": "8", "request": "r", "found": ["x"], "n": 1, "none": None}):
        row = AuditRow(7, place.hospital.services.started, AuditEntry(event, "s", "person:a", told), b"", b"c", "k")
        AuditEvent.model_validate(audit_event(row, place.fhir, "Hospital"))


def test_fhirkit_finds_no_issue(place: Place, officer: httpx.Client) -> None:
    """Somebody else's validator has nothing to say about a page of the trail."""
    fhirkit = pytest.importorskip("fhirkit")
    import json

    for each in events(officer.get("/fhir/AuditEvent?_count=100")):
        assert fhirkit.validate(json.dumps(each).encode()) == []
