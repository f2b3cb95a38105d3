"""batch and transaction over a real socket: all or nothing, in order, with links between entries (R4 3.1.0.11)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.fhir_rest.writing import MRN, Writer, entry, observation, patient, writer

ONE = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334401"
TWO = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334402"


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    home = tmp_path_factory.mktemp("transaction") / "home"
    with writer(home, sqlite_template, max_bundle_entries=50) as found:
        yield found


def stored(ehr: Writer, said: dict[str, Any]) -> dict[str, Any]:
    """The resource that a response entry names."""
    path = said["response"]["location"].removeprefix(f"{ehr.hospital.services.fhir_base}/")
    found: dict[str, Any] = ehr.send("GET", path).json()
    return found


def test_entries_refer_to_each_other(ehr: Writer) -> None:
    """A urn:uuid becomes the id that was given, in references, uris and narrative, whatever the order; texts stay."""
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{ONE}">x</a></div>'
    said = ehr.transact(
        entry(
            "POST",
            "Observation",
            observation(
                ONE,
                ONE,
                text={"status": "generated", "div": narrative},
                extension=[{"url": "urn:x", "valueUri": ONE}],
            ),
            TWO,
        ),
        entry("POST", "Patient", patient("tx-1"), ONE),
    )
    assert said.status_code == 200, said.text
    first, second = said.json()["entry"]
    assert [first["response"]["status"], second["response"]["status"]] == ["201 Created", "201 Created"]
    made, subject = stored(ehr, first), stored(ehr, second)
    name = f"Patient/{subject['id']}"
    assert made["subject"]["reference"] == name
    assert made["extension"][0]["valueUri"] == name
    assert f'href="{name}"' in made["text"]["div"]
    assert made["valueString"] == ONE


def test_one_bad_entry_undoes_all(ehr: Writer) -> None:
    """Nothing of a transaction with a bad entry is stored, and the answer names the entry."""
    said = ehr.transact(
        entry("PUT", "Patient/undone", patient("undone", id="undone")),
        entry("POST", "Observation", observation("Patient/nowhere")),
    )
    assert said.status_code in (404, 422)
    assert said.json()["issue"][0]["expression"] == ["Bundle.entry[1].resource.subject"]
    assert ehr.send("GET", "Patient/undone").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (entry("PUT", "Patient/stale", patient(id="stale"), ifMatch='W/"9"'), 412),
        (entry("FETCH", "Patient/x"), 422),
        (entry("GET", "Nothing/x"), 404),
        (entry("POST", "", {"resourceType": "Bundle", "type": "batch"}), 422),
        ({"resource": patient()}, 422),
        ("not an entry", 400),
    ],
)
def test_entries_that_cannot_be_carried_out(ehr: Writer, asked: Any, status: int) -> None:
    """Each is refused with its place in the Bundle, and the good entry beside it is not stored."""
    said = ehr.transact(entry("PUT", "Patient/beside", patient("beside", id="beside")), asked)
    assert said.status_code == status, said.text
    assert said.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
    assert ehr.send("GET", "Patient/beside").status_code == 404


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_head_in_a_bundle_has_no_resource(ehr: Writer, kind: str) -> None:
    """HEAD is GET without the body (R4 3.1.0.11): status, ETag and nothing more."""
    own_id = ehr.create(patient(f"head-{kind}"))["id"]
    told, read = ehr.transact(entry("HEAD", f"Patient/{own_id}"), entry("GET", f"Patient/{own_id}"), kind=kind).json()[
        "entry"
    ]
    assert told == {"response": read["response"]}
    assert read["resource"]["id"] == own_id


def test_methods_run_in_the_order_of_the_specification(ehr: Writer) -> None:
    """DELETE comes before POST, and GET sees what was written, whatever the order of the entries."""
    own_id = ehr.create(patient("order"))["id"]
    said = ehr.transact(
        entry("GET", "Patient/order-put"),
        entry("PUT", "Patient/order-put", patient("order-put", id="order-put")),
        entry("POST", "Patient", patient("order"), ifNoneExist=f"identifier={MRN}|order"),
        entry("DELETE", f"Patient/{own_id}"),
    ).json()["entry"]
    assert [one["response"]["status"][:3] for one in said] == ["200", "201", "201", "204"]
    assert said[0]["resource"]["id"] == "order-put"
    assert ehr.send("GET", f"Patient/{own_id}").status_code == 410


def test_conditional_references_and_creates(ehr: Writer) -> None:
    """A conditional create leads links to the one that is there; a conditional reference finds exactly one."""
    own_id = ehr.create(patient("tx-cond"))["id"]
    said = ehr.transact(
        entry("POST", "Patient", patient("tx-cond"), ONE, ifNoneExist=f"identifier={MRN}|tx-cond"),
        entry("POST", "Observation", observation(ONE)),
        entry("POST", "Observation", observation(f"Patient?identifier={MRN}|tx-cond")),
    ).json()["entry"]
    assert said[0]["response"]["status"] == "200 OK"
    assert {stored(ehr, one)["subject"]["reference"] for one in said[1:]} == {f"Patient/{own_id}"}
    lost = ehr.transact(entry("POST", "Observation", observation(f"Patient?identifier={MRN}|nobody")))
    assert lost.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.subject"]
    assert lost.status_code == 412


def test_the_same_resource_twice_is_refused(ehr: Writer) -> None:
    """Two entries about one resource, by id or by condition, leave no order that would be right."""
    twice = [entry("PUT", "Patient/twice", patient("twice", id="twice"))] * 2
    assert ehr.transact(*twice).status_code == 400
    same = [entry("POST", "Patient", patient("same"), ifNoneExist=f"identifier={MRN}|same")] * 2
    assert ehr.transact(*same).status_code == 400


def test_a_batch_goes_on_after_a_failure(ehr: Writer) -> None:
    """Each entry of a batch has its own answer, in the order in which they were sent."""
    said = ehr.transact(
        entry("POST", "Observation", observation("Patient/nowhere")),
        entry("POST", "Patient", patient("batch")),
        entry("GET", "Patient/nobody"),
        "not an entry",
        kind="batch",
    ).json()
    assert said["type"] == "batch-response"
    statuses = [one["response"]["status"][:3] for one in said["entry"]]
    assert statuses == ["422", "201", "404", "422"]
    assert said["entry"][0]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_bundles_are_bounded(ehr: Writer) -> None:
    """Too many entries are refused before any is looked at, and so is a Bundle that asks for nothing."""
    many = [entry("GET", "Patient/x")] * 51
    assert ehr.transact(*many).status_code == 413
    assert ehr.transact(kind="document").status_code == 400
    assert ehr.transact().json().get("entry") is None


def test_a_transaction_may_ask_for_the_resources(ehr: Writer) -> None:
    """Prefer: return=representation brings each resource with its response."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Patient", patient("pref"))]}
    said = ehr.send("POST", "", bundle, Prefer="return=representation").json()
    assert said["entry"][0]["resource"]["resourceType"] == "Patient"
