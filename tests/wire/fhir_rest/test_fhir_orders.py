"""A report and the order that it answers: what an EHR has ordered finds the report by `based-on`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.studies import Planted
from wire.fhir_rest.hospital import add_study
from wire.fhir_rest.writing import Writer, patient, writer


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Writer]:
    with writer(tmp_path_factory.mktemp("orders") / "home", sqlite_template) as found:
        yield found


def order(ehr: Writer, subject: str, *accessions: str) -> str:
    identifier = [{"system": "urn:oid:1.2.3", "value": one} for one in accessions]
    made = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "identifier": identifier}
    return f"ServiceRequest/{ehr.create(made | {'subject': {'reference': subject}})['id']}"


def reported(ehr: Writer, folder: Path, number: str, accession: str) -> dict[str, Any]:
    """The report on a study of this patient under this accession number."""
    study = add_study(ehr.hospital, folder, Planted("Order^Ed", number, accession, "ISO_IR 100"), instances=1)
    found = ehr.send("GET", f"DiagnosticReport?imagingStudy=ImagingStudy/{study}").json()
    (entry,) = found["entry"]
    report: dict[str, Any] = entry["resource"]
    return report


def registered(ehr: Writer, number: str) -> str:
    return f"Patient/{ehr.create(patient(number))['id']}"


@pytest.mark.parametrize("accession", ["ACC-1", "A,C|C$2\\"])
def test_a_report_is_found_by_its_order(ehr: Writer, tmp_path: Path, accession: str) -> None:
    """The patient's order with the study's accession number, whatever its characters, is what the report refers to."""
    mine = order(ehr, registered(ehr, f"FOUND-{len(accession)}"), "PLACER-9", accession)
    report = reported(ehr, tmp_path / "study", f"FOUND-{len(accession)}", accession)
    assert report["basedOn"][0]["reference"] == mine
    assert report["basedOn"][0]["identifier"]["value"] == accession
    (entry,) = ehr.send("GET", f"DiagnosticReport?based-on={mine}").json()["entry"]
    assert entry["resource"]["id"] == report["id"]


def test_the_order_of_another_patient_is_none(ehr: Writer, tmp_path: Path) -> None:
    """Accession numbers are not unique: an order in somebody else's record is never referred to."""
    order(ehr, registered(ehr, "SOMEBODY-ELSE"), "ACC-SHARED")
    registered(ehr, "MINE")
    report = reported(ehr, tmp_path / "study", "MINE", "ACC-SHARED")
    assert "reference" not in report["basedOn"][0]
    assert report["basedOn"][0]["identifier"]["value"] == "ACC-SHARED"


def test_of_two_orders_none_is_chosen(ehr: Writer, tmp_path: Path) -> None:
    """Where two orders of the patient bear the number, the report names the number alone."""
    subject = registered(ehr, "TWICE")
    order(ehr, subject, "ACC-TWICE")
    order(ehr, subject, "ACC-TWICE")
    report = reported(ehr, tmp_path / "study", "TWICE", "ACC-TWICE")
    assert "reference" not in report["basedOn"][0]
