"""FHIR messages over a real socket: filed as a transaction, answered by a message, each applied once (R4 Messaging)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.jobs import Kind
from wire.fhir_rest.writing import Writer, observation, patient, writer

from gateway.domain.message import RELIABLE, ReceivedMessage
from gateway.flow.record.forget_messages import ForgetMessages
from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.xml_form import encode_xml, parse_xml
from gateway.storage.message_tables import vault_message

Resource = dict[str, Any]
ELSEWHERE = "http://his.example/fhir"
UNKNOWN = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, both_kinds: Kind) -> Iterator[Writer]:
    home = tmp_path_factory.mktemp("messages") / "home"
    with writer(home, both_kinds.template, both_kinds.url, max_bundle_entries=50) as found:
        yield found


def message(focus: str, *resources: Resource, own_id: str = "", bundle: str = "") -> Resource:
    """One event of the sender; `focus` is type and id of one of the resources, under the sender's own ids."""
    header = {
        "resourceType": "MessageHeader",
        "id": own_id or uuid.uuid4().hex,
        "eventCoding": {"system": "http://terminology.hl7.org/CodeSystem/v2-0003", "code": "A01"},
        "source": {"name": "HIS", "endpoint": f"{ELSEWHERE}/$process-message"},
        "focus": [{"reference": f"{ELSEWHERE}/{focus}"}],
    }
    entries = [{"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": header}]
    entries += [{"fullUrl": f"{ELSEWHERE}/{one['resourceType']}/{one['id']}", "resource": one} for one in resources]
    identifier = {"system": "urn:ietf:rfc:3986", "value": bundle or f"urn:uuid:{uuid.uuid4()}"}
    return {"resourceType": "Bundle", "type": "message", "identifier": identifier, "entry": entries}


def admission(number: str, **members: Any) -> Resource:
    """A visit of a patient, who comes with it, on a ward that has no identifier."""
    ward = {"resourceType": "Location", "id": "w-1", "name": "Ward 1"}
    visit = {
        "resourceType": "Encounter",
        "id": f"v-{number}",
        "identifier": [{"system": "urn:visits", "value": f"V,{number}"}],
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": {"reference": f"Patient/p-{number}"},
        "location": [{"location": {"reference": "Location/w-1"}}],
    }
    return message(f"Encounter/v-{number}", patient(number, id=f"p-{number}"), visit | members, ward)


def send(ehr: Writer, sent: Resource, query: str = "") -> httpx.Response:
    return ehr.send("POST", f"$process-message{query}", sent)


def answered(ehr: Writer, sent: Resource) -> Resource:
    """The header of the answer, which is a valid message."""
    answer = send(ehr, sent)
    assert answer.status_code == 200, answer.text
    assert not [one for one in check(answer.json(), kind="Bundle") if one.severity == "error"]
    header: Resource = answer.json()["entry"][0]["resource"]
    assert header["response"]["identifier"] == sent["entry"][0]["resource"]["id"]
    return header


def found(ehr: Writer, kind: str, **search: str) -> list[Resource]:
    answer = ehr.http.get(f"/fhir/{kind}", params=search)
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json().get("entry", [])]


def test_a_message_is_filed_and_answered(ehr: Writer) -> None:
    """Focus and what it refers to are stored under our ids and linked; the answer turns to the sender, with ok."""
    sent = admission("m-1")
    header = answered(ehr, sent)
    assert header["response"] == {"identifier": sent["entry"][0]["resource"]["id"], "code": "ok"}
    assert header["eventCoding"]["code"] == "A01"
    assert header["destination"] == [{"name": "HIS", "endpoint": f"{ELSEWHERE}/$process-message"}]
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-1")
    (own,) = found(ehr, "Patient", identifier="m-1")
    assert visit["subject"]["reference"] == f"Patient/{own['id']}"
    (ward,) = found(ehr, "Location", name="Ward 1")
    assert visit["location"][0]["location"]["reference"] == f"Location/{ward['id']}"
    notes = [one for one in ehr.hospital.events("fhir:operation") if one.details.get("operation") == "process-message"]
    assert notes[-1].details["count"] == 3


def test_a_later_message_finds_what_is_here(ehr: Writer) -> None:
    """The focus gets a new version; the patient whom another client has written is linked and left as he is."""
    known = ehr.create(patient("m-2", name=[{"family": "Known"}]))
    assert answered(ehr, admission("m-2"))["response"]["code"] == "ok"
    assert answered(ehr, admission("m-2", status="finished"))["response"]["code"] == "ok"
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-2")
    assert (visit["status"], visit["meta"]["versionId"]) == ("finished", "2")
    assert visit["subject"]["reference"] == f"Patient/{known['id']}"
    assert found(ehr, "Patient", identifier="m-2") == [known]
    changed = message("Patient/p-m-2", patient("m-2", id="p-m-2", name=[{"family": "Married"}]))
    assert answered(ehr, changed)["response"]["code"] == "ok"
    (own,) = found(ehr, "Patient", identifier="m-2")
    assert (own["id"], own["name"][0]["family"]) == (known["id"], "Married")


def test_what_is_no_entry_stays_with_the_sender(ehr: Writer) -> None:
    """A link to what the message does not carry becomes the address at the sender's; one to what is here leads here."""
    clinic = ehr.create({"resourceType": "Organization", "name": "Clinic"})
    here = f"{ehr.hospital.services.fhir_base}/Organization/{clinic['id']}"
    sent = admission("m-7", serviceProvider={"reference": here}, partOf={"reference": "Encounter/v-0/_history/1"})
    assert answered(ehr, sent)["response"]["code"] == "ok"
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-7")
    assert visit["serviceProvider"]["reference"] == here
    assert visit["partOf"]["reference"] == f"{ELSEWHERE}/Encounter/v-0/_history/1"


def test_a_message_that_comes_again_is_applied_once(ehr: Writer) -> None:
    """The same bytes as answer and no second version, also in a new envelope; large and small letters are two ids."""
    sent = admission("m-3")
    first = send(ehr, sent)
    assert [send(ehr, sent).content for _ in range(2)] == [first.content] * 2
    enveloped = sent | {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"}}
    assert answered(ehr, enveloped)["response"]["code"] == "ok"
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-3")
    assert visit["meta"]["versionId"] == "1"
    own = patient("m-3", id="p-m-3")
    assert [answered(ehr, message("Patient/p-m-3", own, own_id=one))["response"]["code"] for one in ("aB", "Ab")] == [
        "ok",
        "ok",
    ]
    (changed,) = found(ehr, "Patient", identifier="m-3")
    assert changed["meta"]["versionId"] == "3"


def test_a_message_that_changes_nothing_is_kept_too(ehr: Writer) -> None:
    """Where all that it brings is here already, it has its row in the trail, and comes again as the same message."""
    known = ehr.create(patient("m-10"))
    sent = message("Patient/p-m-10", patient("m-10", id="p-m-10"))
    del sent["entry"][0]["resource"]["focus"]
    first = send(ehr, sent)
    notes = [one for one in ehr.hospital.events("fhir:operation") if one.details.get("operation") == "process-message"]
    assert notes[0].details["count"] == 1
    assert ehr.send("DELETE", f"Patient/{known['id']}").status_code in (200, 204)
    assert send(ehr, sent).content == first.content
    assert not found(ehr, "Patient", identifier="m-10")


def test_after_thirty_days_a_message_is_a_new_one(ehr: Writer) -> None:
    """Also where none has come since then: it is applied again, and neither lost nor taken for a used envelope."""
    sent = admission("m-14")
    assert answered(ehr, sent)["response"]["code"] == "ok"
    aged = vault_message.update().values(at=datetime.now(UTC) - RELIABLE - timedelta(minutes=1))
    with ehr.hospital.database.outside_transactions() as connection:
        connection.execute(aged)
    assert answered(ehr, sent)["response"]["code"] == "ok"
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-14")
    assert visit["meta"]["versionId"] == "2"


def test_what_is_no_longer_known_goes_without_another_message(ehr: Writer) -> None:
    """The sweeper's chore lets go of messages past their thirty days, and of no other."""
    old, young = admission("m-15"), admission("m-16")
    forget = ForgetMessages(ehr.hospital.database)
    assert answered(ehr, old)["response"]["code"] == "ok"
    with ehr.hospital.database.outside_transactions() as connection:
        connection.execute(vault_message.update().values(at=datetime.now(UTC) - RELIABLE - timedelta(minutes=1)))
        aged = connection.execute(select(func.count()).select_from(vault_message)).scalar_one()
    with ehr.hospital.database.begin("test") as unit:
        unit.messages.keep(ReceivedMessage("ehr", b"young", None, datetime.now(UTC)))
        unit.commit()
    assert forget() == aged > 0
    assert forget() == 0
    with ehr.hospital.database.outside_transactions() as connection:
        assert connection.execute(select(func.count()).select_from(vault_message)).scalar_one() == 1
    assert answered(ehr, young)["response"]["code"] == "ok"


def test_an_id_of_the_senders_is_not_taken_for_ours(ehr: Writer) -> None:
    """A relative reference without a server to go by is refused; it does not lead to whom the id means here."""
    assert ehr.send("PUT", "Patient/123", patient("m-11", id="123")).status_code == 201
    sent = message("Observation/o-11", observation("Patient/123", id="o-11", valueString="m-11"))
    own_url = f"urn:uuid:{uuid.uuid4()}"
    sent["entry"][1]["fullUrl"] = own_url
    sent["entry"][0]["resource"]["focus"] = [{"reference": own_url}]
    assert answered(ehr, sent)["response"]["code"] == "fatal-error"
    assert not found(ehr, "Observation", subject="Patient/123")


def test_an_identifier_of_another_patients_resource_moves_nothing(ehr: Writer) -> None:
    """What bears it is refused, as focus and beside it; what has it stays as it is in that patient's record."""
    bears = {"identifier": [{"system": "urn:results", "value": "7"}], "id": "o-12"}
    one, other = (patient(f"m-{number}", id=f"p-{number}") for number in (12, 13))
    first = message("Observation/o-12", observation("Patient/p-12", valueString="own", **bears), one)
    second = message("Observation/o-12", observation("Patient/p-13", valueString="another's", **bears), other)
    assert answered(ehr, first)["response"]["code"] == "ok"
    before = found(ehr, "Observation", identifier="urn:results|7")
    answer = send(ehr, second).json()["entry"]
    assert answer[0]["resource"]["response"]["code"] == "fatal-error"
    assert answer[1]["resource"]["issue"][0]["expression"] == ["Bundle.entry[1].resource.identifier"]
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r-12",
        "status": "final",
        "code": {"text": "Panel"},
        "subject": {"reference": "Patient/p-13"},
        "result": [{"reference": "Observation/o-12"}],
    }
    third = message(
        "DiagnosticReport/r-12", report, observation("Patient/p-13", valueString="another's", **bears), other
    )
    answer = send(ehr, third).json()["entry"]
    assert answer[1]["resource"]["issue"][0]["expression"] == ["Bundle.entry[2].resource.identifier"]
    assert found(ehr, "Observation", identifier="urn:results|7") == before
    assert not found(ehr, "Patient", identifier="m-13")


def test_the_same_address_of_two_senders_is_two_resources(ehr: Writer) -> None:
    """What has no identifier is the sender's alone, even if another one's server calls itself the same."""
    ehr.hospital.add_client("laboratory", "system/*.cruds")
    sent = [message("Location/w-9", {"resourceType": "Location", "id": "w-9", "name": name}) for name in "AB"]
    assert answered(ehr, sent[0])["response"]["code"] == "ok"
    headers = {"Content-Type": "application/fhir+json"}
    answer = httpx.post(
        f"{ehr.http.base_url}/fhir/$process-message", json=sent[1], auth=("laboratory", SECRET), headers=headers
    )
    assert answer.json()["entry"][0]["resource"]["response"]["code"] == "ok"
    assert len(found(ehr, "Location", name="A")) == len(found(ehr, "Location", name="B")) == 1


def test_a_message_in_xml_is_the_same_message(ehr: Writer) -> None:
    """It is taken, answered in XML where that is asked for, and known again when it comes as JSON."""
    sent = message("Patient/p-m-8", patient("m-8", id="p-m-8"))
    xml = "application/fhir+xml"
    answer = ehr.http.post(
        "/fhir/$process-message", content=encode_xml(sent), headers={"Content-Type": xml, "Accept": xml}
    )
    assert answer.status_code == 200, answer.text
    assert parse_xml(answer.content) == send(ehr, sent).json()
    (own,) = found(ehr, "Patient", identifier="m-8")
    assert own["meta"]["versionId"] == "1"


def test_an_envelope_is_not_used_twice(ehr: Writer) -> None:
    """Another message under the same Bundle.identifier is a fatal-error of the code duplicate, and is not applied."""
    first = message("Patient/p-m-4", patient("m-4", id="p-m-4"), bundle="urn:uuid:4")
    second = message("Patient/p-m-5", patient("m-5", id="p-m-5"), bundle="urn:uuid:4")
    assert answered(ehr, first)["response"]["code"] == "ok"
    assert answered(ehr, second)["response"]["code"] == "fatal-error"
    assert not found(ehr, "Patient", identifier="m-5")


def test_the_same_message_at_once_is_applied_once(ehr: Writer) -> None:
    """Eight senders of one message get one answer, and there is one version of what it says."""
    sent = admission("m-6")
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: send(ehr, sent), range(8)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    (visit,) = found(ehr, "Encounter", identifier="urn:visits|V\\,m-6")
    assert visit["meta"]["versionId"] == "1"
    assert len(found(ehr, "Patient", identifier="m-6")) == 1


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (
            lambda sent: sent["entry"][2]["resource"].update(partOf={"reference": f"urn:uuid:{uuid.UUID(int=5)}"}),
            "Bundle.entry[2]",
        ),
        (lambda sent: sent["entry"].pop(1), "Bundle.entry[1].resource"),
        (
            lambda sent: sent["entry"][2]["resource"].update(subject={"reference": "Patient/p-0/_history/2"}),
            "Bundle.entry[2].resource",
        ),
        (lambda sent: sent["entry"][0]["resource"]["focus"].append({"reference": "Task/none"}), "Bundle.entry[0]"),
        (lambda sent: sent["entry"][1].pop("fullUrl"), "Bundle.entry[1]"),
    ],
    ids=["link", "patient", "version", "focus", "fullUrl"],
)
def test_what_cannot_be_filed_is_answered_so(ehr: Writer, spoil: Callable[[Resource], Any], place: str) -> None:
    """fatal-error, with the place in an OperationOutcome, and nothing is stored; mended it is taken."""
    number = f"m-{uuid.uuid4().hex[:8]}"
    sent, mended = admission(number), admission(number)
    mended["entry"][0] = {**sent["entry"][0], "resource": {**sent["entry"][0]["resource"]}}
    mended["entry"][0]["resource"]["focus"] = list(sent["entry"][0]["resource"]["focus"])
    spoil(sent)
    answer = send(ehr, sent).json()
    header, outcome = (one["resource"] for one in answer["entry"])
    assert header["response"]["code"] == "fatal-error"
    assert header["response"]["details"]["reference"] == answer["entry"][1]["fullUrl"]
    assert outcome["issue"][0]["expression"][0].startswith(place)
    assert not found(ehr, "Encounter", identifier=f"urn:visits|V\\,{number}")
    assert not found(ehr, "Patient", identifier=number)
    assert answered(ehr, mended)["response"]["code"] == "ok"
    assert found(ehr, "Patient", identifier=number)


@pytest.mark.parametrize(
    ("spoil", "query"),
    [
        (lambda sent: sent.update(type="collection"), ""),
        (lambda sent: sent["entry"].pop(0), ""),
        (lambda sent: sent["entry"][0]["resource"].pop("id"), ""),
        (lambda sent: sent["entry"][0]["resource"].update(source={"_endpoint": {"extension": [UNKNOWN]}}), ""),
        (lambda sent: sent["entry"][0]["resource"].update(response={"identifier": "x", "code": "ok"}), ""),
        (lambda sent: sent["entry"][1]["resource"].update(gender="none"), ""),
        (lambda sent: None, "?async=true"),
    ],
    ids=["type", "header", "id", "endpoint", "response", "invalid", "async"],
)
def test_what_is_no_message_is_refused(ehr: Writer, spoil: Callable[[Resource], Any], query: str) -> None:
    """400 or 422 with an OperationOutcome; nothing is stored."""
    sent = message("Patient/p-no", patient("m-no", id="p-no"))
    spoil(sent)
    answer = send(ehr, sent, query)
    assert answer.status_code in (400, 422)
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert not found(ehr, "Patient", identifier="m-no")


def test_a_message_needs_the_scopes_of_what_it_writes(ehr: Writer) -> None:
    """403 for a client that may not write one of its resources; what it may write is not stored either."""
    ehr.hospital.add_client("results", "system/Observation.cruds", "system/Patient.rs")
    sent = message(
        "Observation/o-1", observation("Patient/p-m-9", id="o-1", valueString="m-9"), patient("m-9", id="p-m-9")
    )
    answer = httpx.post(
        f"{ehr.http.base_url}/fhir/$process-message",
        json=sent,
        auth=("results", SECRET),
        headers={"Content-Type": "application/fhir+json"},
    )
    assert answer.status_code == 403
    assert not found(ehr, "Patient", identifier="m-9")


def test_the_statement_names_where_messages_go(ehr: Writer) -> None:
    """CapabilityStatement.messaging has the address, and for how long a message is known again."""
    said = ehr.http.get("/fhir/metadata").json()
    (messaging,) = said["messaging"]
    assert messaging["endpoint"][0]["address"] == f"{ehr.hospital.services.fhir_base}/$process-message"
    assert messaging["reliableCache"] == 30 * 24 * 60
    assert not [one for one in check(said, kind="CapabilityStatement") if one.severity == "error"]
