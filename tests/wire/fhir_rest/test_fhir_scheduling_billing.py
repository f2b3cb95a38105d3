"""Scheduling and billing: whose record such resources lie in, what is found of them, what R4 forbids."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from wire.fhir_rest.writing import Writer, patient, writer

from gateway import wiring

Resource = dict[str, Any]
AT = {"start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:30:00Z"}
OF_THE_PATIENT = {
    "Patient", "Account", "Appointment", "AppointmentResponse", "ChargeItem", "Claim", "ClaimResponse", "Coverage",
}  # fmt: skip


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    with writer(tmp_path_factory.mktemp("clinic") / "home", sqlite_template) as found:
        yield found


def reference(resource: Resource) -> Resource:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def concept(code: str) -> Resource:
    return {"coding": [{"system": "http://example.org/codes", "code": code}]}


def clinic(ehr: Writer) -> dict[str, Resource]:
    """What belongs to no patient: who gives appointments, and when."""
    service = ehr.create({"resourceType": "HealthcareService", "name": "Sonography"})
    schedule = ehr.create({"resourceType": "Schedule", "actor": [reference(service)]})
    slot = ehr.create({"resourceType": "Slot", "schedule": reference(schedule), "status": "free", **AT})
    payer = ehr.create({"resourceType": "Organization", "name": "Payer"})
    return {one["resourceType"]: one for one in (service, schedule, slot, payer)}


def appointment(of: Resource, slot: Resource, **members: Any) -> Resource:
    participant = [{"actor": reference(of), "status": "accepted"}]
    made = {"resourceType": "Appointment", "status": "booked", "participant": participant, "slot": [reference(slot)]}
    return made | AT | members


def billed(ehr: Writer, number: str, around: dict[str, Resource]) -> dict[str, Resource]:
    """One patient with an appointment that is answered, and a claim that is answered."""
    own = ehr.create(patient(number))
    booked = ehr.create(appointment(own, around["Slot"]))
    answer = ehr.create(
        {
            "resourceType": "AppointmentResponse",
            "appointment": reference(booked),
            "actor": reference(around["HealthcareService"]),
            "participantStatus": "accepted",
        }
    )
    payer = reference(around["Organization"])
    coverage = ehr.create(
        {"resourceType": "Coverage", "status": "active", "beneficiary": reference(own), "payor": [payer]}
    )
    account = ehr.create({"resourceType": "Account", "status": "active", "subject": [reference(own)]})
    charge = {"resourceType": "ChargeItem", "status": "billable", "code": concept("US"), "subject": reference(own)}
    price = {"value": 142.50, "currency": "EUR"}
    charged = ehr.create(charge | {"account": [reference(account)], "priceOverride": price})
    said = {"status": "active", "type": concept("pro"), "use": "claim", "patient": reference(own)}
    said |= {"created": "2026-12-01", "insurer": payer}
    asked = {"provider": payer, "priority": concept("normal")}
    asked |= {"insurance": [{"sequence": 1, "focal": True, "coverage": reference(coverage)}]}
    claim = ehr.create({"resourceType": "Claim"} | said | asked)
    answered = {"resourceType": "ClaimResponse", "outcome": "complete", "request": reference(claim)}
    paid = ehr.create(answered | said)
    return {one["resourceType"]: one for one in (own, booked, answer, coverage, account, charged, claim, paid)}


def found(ehr: Writer, path: str) -> list[Resource]:
    answer = ehr.send("GET", path)
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json().get("entry", [])]


def test_a_record_holds_its_appointments_and_bills(ehr: Writer) -> None:
    """$everything of one patient has all of them, and beside them slot and payer; nothing of another patient."""
    around = clinic(ehr)
    mine, others = billed(ehr, "MRN-1", around), billed(ehr, "MRN-2", around)
    whole = found(ehr, f"Patient/{mine['Patient']['id']}/$everything")
    assert {one["id"] for one in whole} >= {one["id"] for one in mine.values()}
    assert {one["resourceType"] for one in whole} >= OF_THE_PATIENT | {"Slot", "Organization"}
    assert not {one["id"] for one in whole} & {one["id"] for one in others.values()}


def test_bills_and_appointments_are_searched(ehr: Writer) -> None:
    """By account, by price in a currency, by request, by slot and by patient, with what they refer to."""
    around = clinic(ehr)
    mine = billed(ehr, "MRN-3", around)
    own = f"Patient/{mine['Patient']['id']}"

    def ids(path: str) -> list[str]:
        return [one["id"] for one in found(ehr, path)]

    assert ids(f"ChargeItem?account=Account/{mine['Account']['id']}") == [mine["ChargeItem"]["id"]]
    in_euro = f"ChargeItem?subject={own}&price-override=gt142|urn:iso:std:iso:4217|"
    assert ids(f"{in_euro}EUR") == [mine["ChargeItem"]["id"]]
    assert ids(f"{in_euro}USD") == []
    assert ids(f"ClaimResponse?request=Claim/{mine['Claim']['id']}") == [mine["ClaimResponse"]["id"]]
    assert ids(f"Appointment?slot=Slot/{around['Slot']['id']}&patient={own}") == [mine["Appointment"]["id"]]
    assert ids(f"Slot?schedule=Schedule/{around['Schedule']['id']}&status=free&_sort=start") == [around["Slot"]["id"]]
    with_slot = found(ehr, f"Appointment?patient={own}&_include=Appointment:slot&_revinclude=AppointmentResponse:*")
    assert {one["resourceType"] for one in with_slot} == {"Appointment", "Slot", "AppointmentResponse"}


def test_erasing_a_patient_takes_bills_and_appointments(ehr: Writer) -> None:
    """All of them are gone; slot, schedule and payer stay."""
    around = clinic(ehr)
    mine = billed(ehr, "MRN-4", around)
    with ehr.hospital.database.read() as unit:
        stored = unit.resources.find("Claim", mine["Claim"]["id"])
        assert stored is not None
    wiring.erase_patient(ehr.hospital.settings)(stored.owner, "asked", "officer")
    for one in mine.values():
        assert ehr.send("GET", f"{one['resourceType']}/{one['id']}").status_code == 404, one["resourceType"]
    for one in around.values():
        assert ehr.send("GET", f"{one['resourceType']}/{one['id']}").status_code == 200, one["resourceType"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"end": None}, "app-2"),
        ({"start": None, "end": None}, "app-3"),
        ({"cancelationReason": concept("pat")}, "app-4"),
        ({"participant": [{"status": "accepted"}]}, "app-1"),
    ],
)
def test_what_r4_forbids_of_an_appointment(ehr: Writer, changes: Resource, rule: str) -> None:
    """422 with the invariant; without the fault the same appointment is taken."""
    around = clinic(ehr)
    own = ehr.create(patient("MRN-5"))
    wrong = {name: one for name, one in appointment(own, around["Slot"], **changes).items() if one is not None}
    answer = ehr.send("POST", "Appointment", wrong)
    assert answer.status_code == 422
    assert [one["diagnostics"][-6:-1] for one in answer.json()["issue"]] == [rule]
    ehr.create(appointment(own, around["Slot"]))


@pytest.mark.parametrize("kind", ["Account", "Appointment"])
def test_what_is_of_two_patients_lies_in_nobodys_record(ehr: Writer, kind: str) -> None:
    """422: in the record of one it would show the other, and outlive the other's erasure."""
    around = clinic(ehr)
    both = [ehr.create(patient(f"MRN-{kind}-{number}")) for number in range(2)]
    shared: Resource = {"resourceType": "Account", "status": "active", "subject": [reference(one) for one in both]}
    if kind == "Appointment":
        shared = appointment(both[0], around["Slot"])
        shared["participant"] += [{"actor": reference(both[1]), "status": "accepted"}]
    answer = ehr.send("POST", kind, shared)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["code"] == "business-rule"
    twice = {"resourceType": "Account", "status": "active", "subject": [reference(both[0])] * 2}
    assert ehr.create(twice)["subject"] == twice["subject"]
