"""A report and the order that it answers: what an EHR has ordered finds the report by `based-on`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.studies import Planted
from wire.fhir_rest.hospital import add_study
from wire.fhir_rest.jobs import Kind
from wire.fhir_rest.writing import Writer, patient, writer

from gateway import wiring
from gateway.domain.ids import ReportId
from gateway.flow.record import link_orders
from gateway.flow.record.plan import PlanWrites
from gateway.flow.review import Decision
from gateway.formats.fhir.render import render
from gateway.formats.fhir.signed_content import content_digest, content_of
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.privacy.signing import public_keys, verified


@pytest.fixture(scope="module")
def ehr(tmp_path_factory: pytest.TempPathFactory, both_kinds: Kind) -> Iterator[Writer]:
    home = tmp_path_factory.mktemp("orders") / "home"
    with writer(home, both_kinds.template, database=both_kinds.url) as found:
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


def test_orders_of_others_take_no_place(ehr: Writer, tmp_path: Path) -> None:
    """However many patients' orders share the number, the patient's own is found."""
    mine = order(ehr, registered(ehr, "OF-MANY"), "ACC-OF-MANY")
    for number in range(25):
        order(ehr, registered(ehr, f"OTHER-{number}"), "ACC-OF-MANY")
    report = reported(ehr, tmp_path / "study", "OF-MANY", "ACC-OF-MANY")
    assert report["basedOn"][0]["reference"] == mine


def filed(ehr: Writer, report: dict[str, Any]) -> dict[str, Any]:
    """The report as it stands once everything that waits is filed."""
    wiring.file_reports(ehr.hospital.settings, ehr.hospital.database)()
    found: dict[str, Any] = ehr.send("GET", f"DiagnosticReport/{report['id']}").json()
    return found


def test_an_order_that_comes_later_is_found(ehr: Writer, tmp_path: Path) -> None:
    """The report gets one version with the same words that refers to the order, and only what was not known links."""
    subject = registered(ehr, "LATE")
    report = reported(ehr, tmp_path / "study", "LATE", "ACC-LATE")
    assert "reference" not in report["basedOn"][0]
    mine = order(ehr, subject, "ACC-LATE")
    linked = filed(ehr, report)
    assert linked["basedOn"][0]["reference"] == mine
    assert int(linked["meta"]["versionId"]) == int(report["meta"]["versionId"]) + 1
    assert (linked["status"], linked["conclusion"]) == (report["status"], report["conclusion"])
    (entry,) = ehr.send("GET", f"DiagnosticReport?based-on={mine}").json()["entry"]
    assert entry["resource"]["id"] == report["id"]
    (told,) = ehr.hospital.events("report:link")
    assert told.subject_id == report["id"]
    ehr.send("PUT", mine, ehr.send("GET", mine).json() | {"status": "completed"})
    assert filed(ehr, report)["meta"]["versionId"] == linked["meta"]["versionId"]


def test_a_late_order_of_somebody_else_changes_nothing(ehr: Writer, tmp_path: Path) -> None:
    """The number alone is no proof: in another patient's record it leads to no version."""
    registered(ehr, "LATE-MINE")
    report = reported(ehr, tmp_path / "study", "LATE-MINE", "ACC-OTHERS")
    order(ehr, registered(ehr, "LATE-OTHER"), "ACC-OTHERS")
    assert filed(ehr, report)["meta"]["versionId"] == report["meta"]["versionId"]


def test_an_order_corrected_to_the_right_patient_is_found(ehr: Writer, tmp_path: Path) -> None:
    """Its number is the one that it had in another patient's record, and leads here for the first time."""
    subject = registered(ehr, "RIGHT")
    report = reported(ehr, tmp_path / "study", "RIGHT", "ACC-MOVED")
    mine = order(ehr, registered(ehr, "WRONG"), "ACC-MOVED")
    assert "reference" not in filed(ehr, report)["basedOn"][0]
    moved = ehr.send("PUT", mine, ehr.send("GET", mine).json() | {"subject": {"reference": subject}})
    assert moved.status_code == 200, moved.text
    assert filed(ehr, report)["basedOn"][0]["reference"] == mine


def moved(ehr: Writer, name: str, subject: str, **changes: Any) -> None:
    answer = ehr.send("PUT", name, ehr.send("GET", name).json() | {"subject": {"reference": subject}} | changes)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("has_number", [True, False])
def test_an_order_that_moves_away_is_let_go(ehr: Writer, tmp_path: Path, has_number: bool) -> None:
    """The report of the patient before gets one version without the reference; whether the order keeps its number."""
    name = f"AWAY-{has_number}"
    subject, other = registered(ehr, name), registered(ehr, f"{name}-OTHER")
    mine = order(ehr, subject, f"ACC-{name}")
    report = reported(ehr, tmp_path / "study", name, f"ACC-{name}")
    assert report["basedOn"][0]["reference"] == mine
    moved(ehr, mine, other, **({} if has_number else {"identifier": [{"value": "ANOTHER"}]}))
    left = filed(ehr, report)
    assert left["basedOn"] == [{"type": "ServiceRequest", "identifier": report["basedOn"][0]["identifier"]}]
    assert int(left["meta"]["versionId"]) == int(report["meta"]["versionId"]) + 1
    assert (left["status"], left["conclusion"]) == (report["status"], report["conclusion"])
    assert "entry" not in ehr.send("GET", f"DiagnosticReport?based-on={mine}").json()
    assert ehr.hospital.events("report:link")[0].subject_id == report["id"]
    moved(ehr, mine, other, status="completed", identifier=[{"value": f"ACC-{name}"}])
    assert filed(ehr, report)["meta"]["versionId"] == left["meta"]["versionId"]


def test_the_order_that_is_left_is_referred_to(ehr: Writer, tmp_path: Path) -> None:
    """Of two orders under one number one moves away: the report refers to the other, which is the only one now."""
    subject = registered(ehr, "LEFT")
    gone, stays = order(ehr, subject, "ACC-LEFT"), order(ehr, subject, "ACC-LEFT")
    report = reported(ehr, tmp_path / "study", "LEFT", "ACC-LEFT")
    moved(ehr, gone, registered(ehr, "LEFT-OTHER"))
    linked = filed(ehr, report)
    assert linked["basedOn"][0]["reference"] == stays
    assert int(linked["meta"]["versionId"]) == int(report["meta"]["versionId"]) + 1


def test_an_order_that_moves_while_its_report_is_filed_is_let_go(
    ehr: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking the order up and writing the report the order moves: what is written does not refer to it."""
    subject, other = registered(ehr, "RACE"), registered(ehr, "RACE-OTHER")
    mine = order(ehr, subject, "ACC-RACE")
    planned = PlanWrites.__call__

    def overtaken(*asked: Any, **options: Any) -> Any:
        plan = planned(*asked, **options)
        if options.get("ours"):
            monkeypatch.setattr(PlanWrites, "__call__", planned)
            moved(ehr, mine, other)
        return plan

    monkeypatch.setattr(PlanWrites, "__call__", overtaken)
    report = reported(ehr, tmp_path / "study", "RACE", "ACC-RACE")
    assert "reference" not in filed(ehr, report)["basedOn"][0]
    assert ehr.send("GET", mine).json()["subject"]["reference"] == other


def test_studies_of_others_take_no_place(ehr: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many studies under one number are looked at, they are those of the order's own patient."""
    monkeypatch.setattr(link_orders, "_MOST_STUDIES", 1)
    subjects = {number: registered(ehr, number) for number in ("CROWD-1", "CROWD-2")}
    reports = {number: reported(ehr, tmp_path / number, number, "ACC-CROWD") for number in subjects}
    for number, subject in subjects.items():
        mine = order(ehr, subject, "ACC-CROWD")
        assert filed(ehr, reports[number])["basedOn"][0]["reference"] == mine


def test_a_signature_holds_over_the_linked_version(ehr: Writer, tmp_path: Path) -> None:
    """A signed report that is linked keeps status and signature: verified again over what is stored."""
    subject = registered(ehr, "SIGNED")
    report = reported(ehr, tmp_path / "study", "SIGNED", "ACC-SIGNED")
    hospital = ehr.hospital
    hospital.add_person("late-signer", "physician")
    with hospital.database.read() as unit:
        person = unit.access.person("late-signer")
    assert person is not None
    assert hospital.services.review is not None
    version = int(report["meta"]["versionId"])
    hospital.services.review(ReportId(report["id"]), person, Decision("accept", version))
    signed = filed(ehr, report)
    mine = order(ehr, subject, "ACC-SIGNED")
    linked = filed(ehr, report)
    assert (signed["status"], linked["status"]) == ("final", "final")
    assert linked["basedOn"][0]["reference"] == mine
    assert int(linked["meta"]["versionId"]) == version + 2
    found = ehr.send("GET", f"Provenance?target=DiagnosticReport/{report['id']}").json()["entry"]
    (signature,) = [one["resource"]["signature"][0] for one in found if "signature" in one["resource"]]
    claims = verified(
        base64.b64decode(signature["data"]).decode(), public_keys(wiring.all_keys(hospital.settings).keys)
    )
    assert claims["content_sha256"] == digest_of(ehr, linked) == digest_of(ehr, signed)
    verify = wiring.verify_reviews(hospital.settings, hospital.database)
    assert [each.problem for each in verify(ReportId(report["id"]), "test")] == [""]


def digest_of(ehr: Writer, report: dict[str, Any]) -> str:
    """Of the signed content, made again from the stored report and answers, and the Patient of the images."""
    services = ehr.hospital.services
    version = f"DiagnosticReport/{report['id']}/_history/{report['meta']['versionId']}"
    stored = parse_json(ehr.send("GET", version).content)  # decimals as they are written
    results = [parse_json(ehr.send("GET", one["reference"]).content) for one in report["result"]]
    with ehr.hospital.database.begin("test") as unit:
        head = unit.reports.get(ReportId(report["id"]))
        document = services.reports.open(unit, head, purpose="delivery", actor="test")
    (subject,) = render(document, services.fhir_base, "").of_type("Patient")
    return content_digest(content_of(stored, subject, results))


def test_of_two_orders_none_is_chosen(ehr: Writer, tmp_path: Path) -> None:
    """Where two orders of the patient bear the number, the report names the number alone."""
    subject = registered(ehr, "TWICE")
    order(ehr, subject, "ACC-TWICE")
    order(ehr, subject, "ACC-TWICE")
    report = reported(ehr, tmp_path / "study", "TWICE", "ACC-TWICE")
    assert "reference" not in report["basedOn"][0]
