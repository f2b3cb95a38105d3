"""Delivery to EHRs that refuse what the real ones refuse, over real sockets."""

from __future__ import annotations

import base64
import dataclasses
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import fixtures_report as sample
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from harness.ehr_stub import Ehr, serving
from harness.strict_ehr import (
    EPIC,
    MEDITECH,
    ORACLE_HEALTH,
    StrictEhr,
    oracle_dates_have_a_time,
    oracle_takes_cardiology_and_pathology,
    serving_strictly,
)
from unit.gateway.formats.fhir.write_record_golden import document as record_document

from gateway.config import DestinationSettings
from gateway.domain.errors import Conflict, GatewayError, Invalid, Unavailable, Unsupported
from gateway.domain.ids import DeliveryId
from gateway.domain.report import Delivery, report_id
from gateway.flow.read_reports import OpenedReport
from gateway.outlets.fhir import FhirOutlet

DELIVERY = Delivery(DeliveryId("d"), report_id(sample.STUDY), 1, "ehr", "sending", 1, sample.AT)
MRN = "urn:oid:1.2.36.146.595.217.0.1"


def send(ehr: StrictEhr, *documents: OpenedReport, **settings: Any) -> list[str]:
    with serving_strictly(ehr) as url:
        told = DestinationSettings(name="ehr", kind="fhir", url=url, timeout_seconds=5, **settings)
        outlet = FhirOutlet(told, "https://gateway.example/fhir", "General Hospital AI")
        try:
            return [outlet.send(DELIVERY, document) for document in documents]
        finally:
            outlet.close()


def known(takes: dict[str, str], *rules: Any) -> StrictEhr:
    """An EHR that knows the sample's patient."""
    ehr = StrictEhr(takes, rules)
    ehr.put("Patient", "e1", identifier=[{"system": MRN, "value": "MRN-7718201"}])
    return ehr


def with_order(ehr: StrictEhr) -> StrictEhr:
    ehr.put("ServiceRequest", "o1", identifier=[{"value": "ACC-2026-0042"}], subject={"reference": "Patient/e1"})
    ehr.put(
        "DiagnosticReport",
        "r1",
        status="registered",
        identifier=[{"system": "urn:oid:1.2.3", "value": "RAD-9"}],
        basedOn=[{"reference": "ServiceRequest/o1"}],
        subject={"reference": "Patient/e1"},
        code={"text": "US breast"},
        encounter={"display": "ambulatory"},
    )
    return ehr


def test_epic_takes_the_result_as_next_version_of_the_orders_report() -> None:
    """No transaction and no creation of reports: the open report under the order is updated, Observations created."""
    ehr = with_order(known(EPIC))
    said = send(ehr, sample.malignant(), sample.malignant(status="final", version=2))
    assert [each.split(":")[0] for each in said] == ["dr-update-by-order"] * 2
    (report,) = ehr.all("DiagnosticReport")
    (observation,) = ehr.all("Observation")
    assert (report["status"], report["meta"]["versionId"]) == ("final", "3")
    assert report["basedOn"] == [{"reference": "ServiceRequest/o1"}]
    assert report["encounter"] == {"display": "ambulatory"}
    assert [each["value"] for each in report["identifier"]] == ["RAD-9", DELIVERY.report_id]
    assert report["result"] == [{"reference": f"Observation/{observation['id']}"}]
    assert observation["status"] == "final"
    assert [form["contentType"] for form in report["presentedForm"]] == ["text/html", "application/pdf"]


def test_epic_without_an_order_takes_the_document() -> None:
    """Where no report waits, the PDF goes as DocumentReference, and its next version updates it."""
    ehr = known(EPIC)
    said = send(ehr, sample.malignant(), sample.malignant(status="final", version=2))
    assert said[0].startswith("docref-pdf: DocumentReference/")
    assert "after dr-update-by-order: the EHR has no order" in said[0]
    (document,) = ehr.all("DocumentReference")
    assert (document["docStatus"], document["subject"]["reference"]) == ("final", "Patient/e1")
    pdf = base64.b64decode(document["content"][0]["attachment"]["data"])
    assert pdf.startswith(b"%PDF-")
    assert len(ehr.all("Observation")) == 1
    assert document["context"]["related"] == [{"reference": f"Observation/{ehr.all('Observation')[0]['id']}"}]


def test_oracle_health_refuses_radiology_reports_and_takes_the_document() -> None:
    """Its statement allows the creation of reports, its rules only cardiology and pathology: the next way serves."""
    rules = (oracle_takes_cardiology_and_pathology, oracle_dates_have_a_time)
    ehr = known(ORACLE_HEALTH, *rules)
    (said,) = send(ehr, sample.malignant())
    assert said.startswith("docref-pdf: DocumentReference/")
    assert "after dr-create: the EHR answered 422 (business-rule)" in said
    assert ehr.all("DiagnosticReport") == []
    assert ehr.all("Observation") == []
    (document,) = ehr.all("DocumentReference")
    assert "T" in document["date"]


def test_meditech_takes_nothing_and_reads_from_us() -> None:
    """Nothing of ours can be created: nothing is pushed, and that is said."""
    ehr = known(MEDITECH)
    (said,) = send(ehr, sample.malignant())
    assert said == f"pull: DiagnosticReport/{DELIVERY.report_id} is there to be read"
    assert [method for method, _ in ehr.asked] == ["GET"]


def test_an_ehr_without_transactions_gets_a_report_of_its_own() -> None:
    """dr-create: once created it is updated, and a retry makes no second one."""
    takes = {**EPIC, "create": f"{EPIC['create']} DiagnosticReport"}
    ehr = known(takes)
    said = send(ehr, sample.malignant(), sample.malignant(), sample.malignant(status="final", version=2))
    assert [each.split(":")[0] for each in said] == ["dr-create"] * 3
    (report,) = ehr.all("DiagnosticReport")
    assert (report["status"], len(ehr.all("Observation")), len(ehr.all("Patient"))) == ("final", 1, 1)
    assert report["performer"][0]["type"] == "Organization"


def test_results_about_genes_name_each_other_in_the_ehr() -> None:
    """Implication, phenotype and genotype arrive with literal references, as often as they are sent."""
    base = record_document()
    told = dataclasses.replace(base.version.content, findings=base.version.content.findings[1:2])
    ehr = known({**EPIC, "create": f"{EPIC['create']} DiagnosticReport"})
    sent = dataclasses.replace(base, version=dataclasses.replace(base.version, content=told))
    assert [each.split(":")[0] for each in send(ehr, sent, sent)] == ["dr-create"] * 2
    (report,) = ehr.all("DiagnosticReport")
    assert [one["reference"] for one in report["result"]] == [
        f"Observation/{one['id']}" for one in ehr.all("Observation")
    ]
    _, genotype, phenotype, implication = ehr.all("Observation")
    assert [one["reference"] for one in implication["derivedFrom"]] == [
        f"Observation/{genotype['id']}",
        f"Observation/{phenotype['id']}",
    ]
    assert phenotype["derivedFrom"][0] == {"reference": f"Observation/{genotype['id']}"}
    assert "reference" not in genotype["derivedFrom"][0]  # a result of the record, which this EHR was never given


def test_a_patient_is_created_only_where_the_ehr_lets_us() -> None:
    """Unknown patient: created first where that is allowed, else a dead letter that says why."""
    ehr = StrictEhr(EPIC)
    send(ehr, sample.malignant())
    assert [each["identifier"][0]["value"] for each in ehr.all("Patient")] == ["MRN-7718201"]
    closed = StrictEhr({**EPIC, "create": "DocumentReference Observation"})
    with pytest.raises(Invalid, match="no patient with this identifier and lets us create none"):
        send(closed, sample.malignant())
    assert closed.all("DocumentReference") == []


def test_two_patients_under_one_number_stop_the_delivery() -> None:
    """It is never guessed whose report it is."""
    ehr = known(EPIC)
    ehr.put("Patient", "e2", identifier=[{"system": MRN, "value": "MRN-7718201"}])
    with pytest.raises(Invalid, match="more than one patient"):
        send(ehr, sample.malignant())


def test_patients_are_known_by_the_system_that_is_set() -> None:
    """Where the EHR calls the issuer otherwise, its system is used to search and to create."""
    ehr = StrictEhr(EPIC)
    ehr.put("Patient", "e9", identifier=[{"system": "urn:oid:9.9", "value": "MRN-7718201"}])
    send(ehr, sample.malignant(), patient_system="urn:oid:9.9")
    assert [each["id"] for each in ehr.all("Patient")] == ["e9"]


def test_a_strategy_that_is_set_is_the_only_one() -> None:
    """No other way is tried, and what it cannot do is told."""
    ehr = with_order(known(EPIC))
    (said,) = send(ehr, sample.malignant(), strategy="docref-pdf")
    assert said.startswith("docref-pdf: DocumentReference/")
    assert ehr.all("DiagnosticReport")[0]["status"] == "registered"
    with pytest.raises(Unsupported, match="no order"):
        send(known(EPIC), sample.malignant(), strategy="dr-update-by-order")


def test_a_busy_ehr_is_no_reason_for_another_way() -> None:
    """Out is out: it is tried again later, and the statement is read anew then."""
    ehr = with_order(known(EPIC))
    with serving_strictly(ehr) as url:
        told = DestinationSettings(name="ehr", kind="fhir", url=url, timeout_seconds=5)
        outlet = FhirOutlet(told, "https://gateway.example/fhir", "General Hospital AI")
        ehr.fails = 1
        with pytest.raises(Unavailable):
            outlet.send(DELIVERY, sample.malignant())
        outlet.send(DELIVERY, sample.malignant())
        outlet.send(DELIVERY, sample.malignant(status="final", version=2))
        outlet.close()
    assert [path for method, path in ehr.asked if path == "metadata"] == ["metadata"] * 2
    assert ehr.all("DocumentReference") == []


def test_a_report_that_somebody_else_has_changed_is_read_again() -> None:
    """A version that moved between reading and writing is a conflict, which is tried again."""
    ehr = with_order(known(EPIC))
    search = ehr._search

    def stale(kind: str, query: list[tuple[str, str]]) -> Any:
        answer = search(kind, query)
        if kind == "DiagnosticReport" and ehr.all(kind)[0]["meta"]["versionId"] == "1":
            found = [{"resource": dict(each["resource"])} for each in answer[2]["entry"]]
            ehr.resources[kind]["r1"]["meta"] = {"versionId": "5"} if found else {"versionId": "1"}
            return 200, {}, {**answer[2], "entry": found}
        return answer

    ehr._search = stale  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        send(ehr, sample.malignant())


@pytest.mark.parametrize("takes", [EPIC, ORACLE_HEALTH])
def test_what_the_ehr_has_been_given_names_nobody_in_the_acknowledgement(takes: dict[str, str]) -> None:
    """Acknowledgements and refusals hold ids, codes and our own words."""
    for who in ("english", "chinese"):
        document = dataclasses.replace(sample.malignant(who))
        try:
            (said,) = send(StrictEhr(takes), document)
        except GatewayError as error:
            said = str(error)
        assert "MRN" not in said
        assert document.identity.patient_name.split("^")[0] not in said


def test_a_withdrawn_report_withdraws_its_document() -> None:
    """Cancelled after the EHR had it, the document is entered in error; before that nothing is sent."""
    ehr = known(EPIC)
    send(ehr, sample.malignant(), sample.malignant(status="cancelled", version=2))
    (document,) = ehr.all("DocumentReference")
    assert (document["status"], "docStatus" in document) == ("entered-in-error", False)
    (said,) = send(known(EPIC), sample.malignant(status="cancelled", version=2), strategy="docref-pdf")
    assert "withdrawn before the EHR had it" in said


def test_the_ehr_asks_for_our_certificate(tmp_path: Path) -> None:
    """Mutual TLS: with the certificate of the settings the report arrives, without it nothing does."""
    ours, theirs = _certificate(tmp_path, "client"), _certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*theirs)
    context.load_verify_locations(ours[0])
    context.verify_mode = ssl.CERT_REQUIRED
    ehr = Ehr()
    with serving(ehr, context) as url:
        told = {"name": "ehr", "kind": "fhir", "url": url, "tls_ca": theirs[0], "strategy": "transaction"}
        for certificate in ({}, {"tls_certificate": ours[0], "tls_key": ours[1]}):
            outlet = FhirOutlet(DestinationSettings(**told, **certificate), "https://gateway.example/fhir", "Hospital")
            if not certificate:
                with pytest.raises(Unavailable):
                    outlet.send(DELIVERY, sample.benign())
                assert ehr.requests == []
            else:
                outlet.send(DELIVERY, sample.benign())
            outlet.close()
    assert len(ehr.all("DiagnosticReport")) == 1


def _certificate(folder: Path, name: str) -> tuple[str, str]:
    """Self-signed, for the loopback address; paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(certificate), str(private)
