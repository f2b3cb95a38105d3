"""FHIR clients that we did not write create, change, search, page, transact and delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fhirclient import client as smart
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound
from harness.ports import free_port
from wire.fhir_rest.writing import MRN, Writer, entry, observation, patient, writer


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    port = free_port()
    home = tmp_path_factory.mktemp("clients") / "home"
    with writer(home, sqlite_template, port=port, base_url=f"http://127.0.0.1:{port}") as found:
        yield found


@pytest.fixture
def fhirpy(ehr: Writer) -> SyncFHIRClient:
    return SyncFHIRClient(ehr.hospital.services.fhir_base, authorization=ehr.http.headers["Authorization"])


def test_fhirpy_writes(fhirpy: SyncFHIRClient) -> None:
    """fhirpy saves, changes, finds and deletes."""
    made = fhirpy.resource("Patient", **patient("fhirpy"))
    made.save()
    assert made["id"]
    made["gender"] = "female"
    made.save()
    again = fhirpy.reference("Patient", made["id"]).to_resource()
    assert (again["gender"], again["meta"]["versionId"]) == ("female", "2")
    search = fhirpy.resources("Patient").search(identifier=f"{MRN}|fhirpy")
    assert [one["id"] for one in search.fetch_all()] == [made["id"]]
    made.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        fhirpy.reference("Patient", made["id"]).to_resource()
    assert search.fetch_all() == []


def test_fhirpy_transacts_and_pages(fhirpy: SyncFHIRClient) -> None:
    """fhirpy sends a transaction with links between its entries and follows the pages of what it made."""
    urn = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334409"
    entries = [entry("POST", "Patient", patient("paged"), urn)]
    entries += [entry("POST", "Observation", observation(urn)) for _ in range(5)]
    fhirpy.resource("Bundle", type="transaction", entry=entries).save()
    found = fhirpy.resources("Observation").search(**{"patient.identifier": f"{MRN}|paged"}).limit(2).fetch_all()
    assert len({one["id"] for one in found}) == 5
    assert found[0]["subject"].to_resource()["identifier"][0]["value"] == "paged"


def test_fhirclient_writes(ehr: Writer) -> None:
    """fhirclient's strict R4 models create, update, search and delete."""
    settings = {"app_id": "dxgate-test", "api_base": ehr.hospital.services.fhir_base}
    server = smart.FHIRClient(settings=settings).server
    server.session.headers["Authorization"] = ehr.http.headers["Authorization"]
    made = Patient(patient("fhirclient"))
    told = made.create(server)
    own_id = str(told["id"])
    read = Patient.read(own_id, server)
    read.gender = "male"
    read.update(server)
    assert Patient.read(own_id, server).gender == "male"
    Observation(observation(f"Patient/{own_id}")).create(server)
    found = Observation.where({"subject": f"Patient/{own_id}"}).perform_resources(server)
    assert [one.subject.reference for one in found] == [f"Patient/{own_id}"]
    read.delete(server)
    assert ehr.send("GET", f"Patient/{own_id}").status_code == 410
