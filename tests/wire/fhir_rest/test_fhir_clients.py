"""FHIR clients that we did not write find and read a report by what a hospital knows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from fhirclient import client as smart
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy import SyncFHIRClient
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import ISSUER, PLANTED, SECRET, serving

from gateway.domain.report import report_id

FIRST = PLANTED[0]


@pytest.fixture(scope="module")
def address(ward: Ward) -> Iterator[str]:
    """The same hospital served under its real address, so that links and fullUrls can be followed."""
    with serving(ward.hospital.services) as base:
        settings = ward.hospital.settings
        web = settings.web.model_copy(update={"base_url": base})
        known = replace(ward.hospital.services, settings=settings.model_copy(update={"web": web}))
    with serving(replace(known, settings=known.settings.model_copy(update={"web": at_port(web, base)}))) as own:
        yield own


def at_port(web: object, base: str) -> object:
    """The settings with the port that the first server was given."""
    return web.model_copy(update={"port": int(base.rpartition(":")[2])})  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def token(address: str) -> str:
    form = {"grant_type": "client_credentials", "scope": "system/*.read"}
    return str(httpx.post(f"{address}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"])


def test_fhirpy_finds_and_reads(ward: Ward, address: str, token: str) -> None:
    """fhirpy finds the report by accession number and patient identifier and reads all that it refers to."""
    client = SyncFHIRClient(f"{address}/fhir", authorization=f"Bearer {token}")
    expected = report_id(ward.hospital.studies[0])
    for search in (
        {"identifier": FIRST.accession},
        {"identifier": f"|{FIRST.accession}"},
        {"patient.identifier": FIRST.patient_id},
        {"subject:Patient.identifier": f"urn:oid:{ISSUER}|{FIRST.patient_id}"},
    ):
        (report,) = client.resources("DiagnosticReport").search(**search).fetch_all()
        assert report["id"] == expected
    patient = report["subject"].to_resource()
    assert patient["identifier"][0]["value"] == FIRST.patient_id
    (observation,) = [each.to_resource() for each in report["result"]]
    assert observation["device"].to_resource()["resourceType"] == "Device"
    assert report["imagingStudy"][0].to_resource()["resourceType"] == "ImagingStudy"
    provenances = client.resources("Provenance").search(target=f"DiagnosticReport/{expected}").fetch_all()
    assert [each["resourceType"] for each in provenances] == ["Provenance", "Provenance"]


def test_fhirpy_follows_pages_and_counts(ward: Ward, address: str, token: str) -> None:
    """fhirpy follows the next links to the end and counts without reading."""
    client = SyncFHIRClient(f"{address}/fhir", authorization=f"Bearer {token}")
    reports = client.resources("DiagnosticReport").limit(1).fetch_all()
    assert len(reports) == len(ward.hospital.studies)
    assert client.resources("DiagnosticReport").count() == len(ward.hospital.studies)


def test_fhirclient_reads_strict_models(ward: Ward, address: str, token: str) -> None:
    """fhirclient, whose R4 models refuse unknown elements, searches and reads each type."""
    settings = {"app_id": "dxgate-test", "api_base": f"{address}/fhir"}
    ehr = smart.FHIRClient(settings=settings)
    ehr.server.session.headers["Authorization"] = f"Bearer {token}"
    bundle = DiagnosticReport.where({"identifier": FIRST.accession}).perform(ehr.server)
    report = bundle.entry[0].resource
    assert report.id == report_id(ward.hospital.studies[0])
    read = DiagnosticReport.read(report.id, ehr.server)
    assert read.status == "preliminary"
    for kind, reference in (
        (Observation, read.result[0]),
        (ImagingStudy, read.imagingStudy[0]),
        (Patient, read.subject),
    ):
        own_id = reference.reference.rpartition("/")[2]
        assert kind.read(own_id, ehr.server).id == own_id
