"""Claims about delivering to an EHR over a real socket."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import fixtures_report as sample
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from harness.ehr_stub import Ehr, serving

from gateway.config import DestinationSettings
from gateway.domain.errors import Busy, Invalid, Unavailable
from gateway.domain.ids import DeliveryId
from gateway.domain.report import Delivery, report_id
from gateway.flow.read_reports import OpenedReport
from gateway.outlets.fhir import FhirOutlet

DELIVERY = Delivery(DeliveryId("d"), report_id(sample.STUDY), 1, "ehr", "sending", 1, sample.AT)


@pytest.fixture
def ehr() -> Ehr:
    return Ehr()


@pytest.fixture
def address(ehr: Ehr) -> Iterator[str]:
    with serving(ehr) as url:
        yield url


def send(address: str, document: OpenedReport, token: str = "") -> str:
    settings = DestinationSettings(name="ehr", kind="fhir", url=address, timeout_seconds=5, bearer_token=token)
    outlet = FhirOutlet(settings, "https://gateway.example/fhir", "General Hospital AI")
    try:
        return outlet.send(DELIVERY, document)
    finally:
        outlet.close()


def test_delivering_twice_leaves_one_of_each(ehr: Ehr, address: str) -> None:
    """A retry after a lost answer makes no second resource of any type."""
    send(address, sample.malignant())
    once = ehr.counts()
    send(address, sample.malignant())
    assert ehr.counts() == once
    assert set(once.values()) == {1}
    assert len(once) == 8


def test_a_new_version_lands_on_the_same_report(ehr: Ehr, address: str) -> None:
    """Registered, preliminary and final are three versions of one report, each with its own provenance."""
    send(address, sample.registered())
    send(address, sample.malignant())
    send(address, sample.malignant(status="final", version=2))
    (report,) = ehr.all("DiagnosticReport")
    assert (report["status"], report["meta"]["versionId"]) == ("final", "3")
    assert len(ehr.all("Provenance")) == 3
    assert {each["target"][0]["reference"] for each in ehr.all("Provenance")} == {f"DiagnosticReport/{report['id']}"}


def test_references_lead_to_the_ids_that_the_ehr_gave(ehr: Ehr, address: str) -> None:
    """Report, patient, study, observation, model and card hang together under the EHR's own ids."""
    send(address, sample.malignant())
    report, observation, device = (ehr.all(kind)[0] for kind in ("DiagnosticReport", "Observation", "Device"))
    assert report["subject"]["reference"] == f"Patient/{ehr.all('Patient')[0]['id']}"
    assert report["imagingStudy"][0]["reference"] == f"ImagingStudy/{ehr.all('ImagingStudy')[0]['id']}"
    assert report["result"][0]["reference"] == f"Observation/{observation['id']}"
    assert observation["device"]["reference"] == f"Device/{device['id']}"
    card = device["extension"][1]["valueReference"]["reference"]
    assert card == f"DocumentReference/{ehr.all('DocumentReference')[0]['id']}"


def test_a_patient_of_the_ehr_is_taken_and_left_as_it_is(ehr: Ehr, address: str) -> None:
    """The EHR's own patient with the same number of the same issuer is used, not overwritten."""
    number = {"system": "urn:oid:1.2.36.146.595.217.0.1", "value": "MRN-7718201"}
    own = {"resourceType": "Patient", "id": "7", "meta": {"versionId": "1"}, "identifier": [number]}
    ehr.resources["Patient"] = {"7": dict(own)}
    send(address, sample.malignant())
    assert ehr.all("Patient") == [own]
    assert ehr.all("DiagnosticReport")[0]["subject"]["reference"] == "Patient/7"


def test_the_same_number_of_another_issuer_is_another_patient(ehr: Ehr, address: str) -> None:
    """A number alone never decides who a patient is, with or without issuer."""
    for issuer in ("1.2.3", "Other Hospital", ""):
        document = sample.benign()
        identity = dataclasses.replace(document.identity, issuer_of_patient_id=issuer)
        for _ in range(2):
            send(address, dataclasses.replace(document, identity=identity))
    assert len(ehr.all("Patient")) == 3


@pytest.mark.parametrize("patient_id", ["a|b,c$d\\e", "x&y=z+1", "病历 88#?%41"])
def test_any_characters_of_a_number_find_the_patient_again(ehr: Ehr, address: str, patient_id: str) -> None:
    """Characters that mean something in a search are taken as they are."""
    document = sample.benign()
    document = dataclasses.replace(document, identity=dataclasses.replace(document.identity, patient_id=patient_id))
    send(address, document)
    send(address, document)
    assert [each["identifier"][0]["value"] for each in ehr.all("Patient")] == [patient_id]


def test_a_busy_ehr_is_tried_again_and_then_has_one_report(ehr: Ehr, address: str) -> None:
    """429 and 503 store nothing, and the next attempt delivers."""
    ehr.answers = [(429, {"Retry-After": "1"}), (503, {})]
    with pytest.raises(Busy):
        send(address, sample.malignant())
    with pytest.raises(Unavailable):
        send(address, sample.malignant())
    send(address, sample.malignant())
    assert len(ehr.all("DiagnosticReport")) == 1


def test_a_redirect_to_another_host_is_not_followed(ehr: Ehr, address: str) -> None:
    """Identity and token go to the configured address and nowhere else."""
    other = Ehr()
    with serving(other) as elsewhere:
        ehr.answers = [(307, {"Location": elsewhere})]
        with pytest.raises(Invalid):
            send(address, sample.malignant(), token="secret-token")
    assert other.requests == []
    assert ehr.requests[0]["authorization"] == "Bearer secret-token"


def test_nobody_listening_is_unavailable() -> None:
    """A closed port is a matter of time, not of content."""
    with serving(Ehr()) as address:
        pass
    with pytest.raises(Unavailable):
        send(address, sample.malignant())


def test_an_unknown_certificate_gets_nothing(tmp_path: Path) -> None:
    """A server whose certificate nobody vouches for is refused before a byte of the report is sent."""
    ehr = Ehr()
    with serving(ehr, _self_signed(tmp_path)) as address:
        with pytest.raises(Unavailable):
            send(address, sample.malignant())
        assert ehr.requests == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "pair.pem").write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair.pem")
    return context
