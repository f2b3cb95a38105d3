"""Search in the patient compartment: GET [base]/Patient/[id]/[type] and /*, on both kinds of database (R4 2.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.jobs import Kind, Ward, jobs_of
from wire.fhir_rest.writing import observation, patient


@pytest.fixture(scope="module")
def ward(both_kinds: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with jobs_of(both_kinds, tmp_path_factory.mktemp("compartment")) as opened:
        yield opened


@pytest.fixture(scope="module")
def two(ward: Ward) -> tuple[str, str]:
    """Ids of two Patients; the second one has measured something in the first."""
    ehr = ward.ehr
    one, other = (ehr.create(patient(number))["id"] for number in ("MRN-C1", "MRN-C2"))
    organization = ehr.create({"resourceType": "Organization", "name": "Ward 7"})["id"]
    for value in ("1", "2", "3"):
        ehr.create(observation(f"Patient/{one}", value, performer=[{"reference": f"Organization/{organization}"}]))
    ehr.create(observation(f"Patient/{one}", "by the mother", performer=[{"reference": f"Patient/{other}"}]))
    ehr.create(observation(f"Patient/{other}", "4"))
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{one}"}, "code": {"text": "cough"}}
    ehr.create(condition)
    return one, other


def values(bundle: dict[str, Any]) -> list[str]:
    """What is found, newest first, by type or by value."""
    found = [one["resource"] for one in bundle.get("entry", ()) if one["search"]["mode"] == "match"]
    return [one.get("valueString", one["resourceType"]) for one in found]


def told(bundle: dict[str, Any]) -> list[str]:
    """What is said beside what is found."""
    found = [one["resource"] for one in bundle.get("entry", ()) if one["search"]["mode"] == "outcome"]
    return [each["diagnostics"] for one in found for each in one["issue"]]


def test_one_type(ward: Ward, two: tuple[str, str]) -> None:
    """What names the patient by any parameter of the definition is found, and another's is not."""
    one, other = (ward.ehr.send("GET", f"Patient/{own_id}/Observation").json() for own_id in two)
    assert values(one) == ["by the mother", "3", "2", "1"]
    assert values(other) == ["4", "by the mother"]
    assert one["total"] == 4
    assert one["link"][0]["url"].endswith(f"/Patient/{two[0]}/Observation")
    itself = ward.ehr.send("GET", f"Patient/{two[0]}/Patient").json()
    assert [each["resource"]["id"] for each in itself["entry"]] == [two[0]]


def test_parameters_includes_and_counts(ward: Ward, two: tuple[str, str]) -> None:
    """The parameters of an ordinary search narrow it, and includes, order and counts work as there."""
    narrowed = ward.ehr.send("GET", f"Patient/{two[0]}/Observation?code=2160-0&performer:Organization.name=Ward 7")
    assert values(narrowed.json()) == ["3", "2", "1"]
    included = ward.ehr.send("GET", f"Patient/{two[0]}/Observation?_include=Observation:performer&_count=2").json()
    assert {each["resource"]["resourceType"] for each in included["entry"]} == {
        "Observation",
        "Patient",
        "Organization",
    }
    counted = ward.ehr.send("GET", f"Patient/{two[0]}/Observation?_summary=count").json()
    assert (counted["total"], "entry" in counted) == (4, False)
    unknown = ward.ehr.send("GET", f"Patient/{two[0]}/Observation?colour=red")
    assert (unknown.status_code, unknown.json()["issue"][0]["expression"]) == (400, ["http.colour"])


def test_every_type(ward: Ward, two: tuple[str, str]) -> None:
    """`*` finds resources of all types, the Patient too; _type, _id and _lastUpdated narrow it, others are refused."""
    whole = ward.ehr.send("GET", f"Patient/{two[0]}/*?_total=accurate").json()
    assert values(whole) == ["Condition", "by the mother", "3", "2", "1", "Patient"]
    assert whole["total"] == 6
    some = ward.ehr.send("GET", f"Patient/{two[0]}/*?_type=Condition,Patient&_lastUpdated=ge2020").json()
    assert values(some) == ["Condition", "Patient"]
    ordered = ward.ehr.send("GET", f"Patient/{two[0]}/*?_sort=_lastUpdated&_count=2").json()
    assert values(ordered) == ["Patient", "1"]
    named = ward.ehr.send("GET", f"Patient/{two[0]}/*?_id={two[0]},{two[1]}").json()
    assert values(named) == ["Patient"]
    for wrong in ("code=2160-0", "_type=Nothing", "_tag=x", "_include=Observation:nothing"):
        assert ward.ehr.send("GET", f"Patient/{two[0]}/*?{wrong}").status_code == 400, wrong
    assert ward.ehr.send("GET", f"Observation?_type=Condition&patient={two[0]}").status_code == 400


def test_pages_keep_what_is_written_later_out(ward: Ward, two: tuple[str, str]) -> None:
    """The pages of a compartment meet each resource once, and a resource written between them not at all."""
    own_id = ward.ehr.create(patient("MRN-C3"))["id"]
    for value in "12345":
        ward.ehr.create(observation(f"Patient/{own_id}", value))
    found, path = [], f"Patient/{own_id}/*?_count=2"
    while path:
        bundle = ward.ehr.send("GET", path).json()
        found += values(bundle)
        ward.ehr.create(observation(f"Patient/{own_id}", "later"))
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        path = ward.local(following[0]) if following else ""
        assert not path or urlsplit(path).path == f"Patient/{own_id}/*"
    assert found == ["5", "4", "3", "2", "1", "Patient"]


def test_by_post_head_batch_and_later(ward: Ward, two: tuple[str, str]) -> None:
    """POST _search, HEAD, an entry of a batch, and a search that is answered later find the same."""
    path = f"Patient/{two[0]}/Observation"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = ward.ehr.http.post(f"/fhir/{path}/_search", content=b"_sort=_lastUpdated", headers=form)
    assert values(posted.json()) == ["1", "2", "3", "by the mother"]
    whole = ward.ehr.http.post(f"/fhir/Patient/{two[0]}/*/_search", content=b"_type=Condition", headers=form)
    assert values(whole.json()) == ["Condition"]
    head = ward.ehr.send("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    batch = ward.ehr.transact({"request": {"method": "GET", "url": path}}, kind="batch").json()
    assert values(batch["entry"][0]["resource"]) == ["by the mother", "3", "2", "1"]
    (file,) = ward.manifest(ward.begin(f"{path}?_count=3"))["output"]
    pages = ward.lines(file)
    assert [one for page in pages for one in values(page)] == ["by the mother", "3", "2", "1"]
    assert len(pages) == 2


def test_what_is_not_there(ward: Ward, two: tuple[str, str]) -> None:
    """No Patient, a deleted one, a type outside of the compartment, and a word that is no type have their answers."""
    assert ward.ehr.send("GET", "Patient/nobody/Observation").status_code == 404
    gone = ward.ehr.create(patient("MRN-C4"))["id"]
    assert ward.ehr.send("DELETE", f"Patient/{gone}").status_code < 300
    assert ward.ehr.send("GET", f"Patient/{gone}/*").status_code == 410
    for kind in ("Organization", "AuditEvent", "Nothing", "Observation/1"):
        assert ward.ehr.send("GET", f"Patient/{two[0]}/{kind}").status_code == 404, kind
    assert ward.ehr.send("POST", f"Patient/{two[0]}/Observation", observation("Patient/x")).status_code == 405
    (stated,) = ward.ehr.send("GET", "metadata").json()["rest"]
    assert stated["compartment"] == ["http://hl7.org/fhir/CompartmentDefinition/patient"]


def test_all_types_of_the_system(ward: Ward, two: tuple[str, str]) -> None:
    """GET [base] searches all types, by what they have in common; by POST, HEAD and in a batch as well."""
    ehr = ward.ehr
    begin = ehr.create({"resourceType": "Location", "name": "Room 1"})["meta"]["lastUpdated"]
    ehr.create({"resourceType": "Organization", "name": "Ward 8"})
    later = f"_lastUpdated=ge{begin}"
    assert values(ehr.send("GET", f"?{later}&_sort=_lastUpdated").json()) == ["Location", "Organization"]
    some = ehr.send("GET", f"?_type=Organization,Condition&{later}").json()
    assert values(some) == ["Organization"]
    assert some["link"][0]["url"].startswith(f"{ehr.hospital.services.fhir_base}?_type=Organization")
    first = ehr.send("GET", f"?{later}&_count=1").json()
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    rest = ehr.http.get(f"/fhir?{following.partition('?')[2]}").json()
    assert values(first) + values(rest) == ["Organization", "Location"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = ehr.http.post("/fhir/_search", content=f"_type=Location&{later}".encode(), headers=form)
    assert values(posted.json()) == ["Location"]
    batch = ehr.transact({"request": {"method": "GET", "url": f"?_type=Location&{later}"}}, kind="batch").json()
    assert values(batch["entry"][0]["resource"]) == ["Location"]
    assert ehr.send("HEAD", f"?{later}").status_code == 200
    for wrong in ("_type=AuditEvent", "_type=Nothing", "name=Ward"):
        assert ehr.send("GET", f"?{wrong}").status_code == 400, wrong
    (stated,) = ehr.send("GET", "metadata").json()["rest"]
    assert "search-system" in [one["code"] for one in stated["interaction"]]


def test_scopes_and_trail(ward: Ward, two: tuple[str, str]) -> None:
    """A type without a scope is refused where it is named and told of where all are searched; the patient is noted."""
    ward.ehr.hospital.add_client("conditions", "system/Condition.rs")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("conditions", SECRET)) as http:
        assert http.get(f"/fhir/Patient/{two[0]}/Observation").status_code == 403
        assert http.get(f"/fhir/Patient/{two[0]}/*?_type=Observation,Condition").status_code == 403
        whole = http.get(f"/fhir/Patient/{two[0]}/*").json()
        assert values(whole) == ["Condition"]
        (left_out,) = told(whole)
        assert left_out.startswith("left out, no scope for them: ")
        assert " Observation," in left_out
        nothing = http.get(f"/fhir/Patient/{two[1]}/Condition").json()
        assert nothing["total"] == 0
    empty, whole = ward.ehr.hospital.events("fhir:search")[:2]
    assert (empty.details["type"], whole.details["type"]) == ("Condition", "*")
    assert len(empty.details["patients"]) == 1
    assert empty.details["patients"] != whole.details["patients"]
